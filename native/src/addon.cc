#include "exports.h"

namespace {

Napi::Object Init(Napi::Env env, Napi::Object exports) {
  sunstar::ExportRing(env, exports);
  sunstar::ExportArena(env, exports);
  sunstar::ExportSocket(env, exports);
  sunstar::ExportSocketInfo(env, exports);
  sunstar::ExportZeroCopy(env, exports);
  sunstar::ExportFile(env, exports);
  sunstar::ExportCpu(env, exports);
  sunstar::ExportDescriptors(env, exports);
  sunstar::ExportChecksum(env, exports);
  sunstar::ExportBytes(env, exports);
  sunstar::ExportStall(env, exports);
  return exports;
}

}  // namespace

NODE_API_MODULE(sunstar_native, Init)
