// What JavaScript cannot say about memory: where it lies, a second view of it, and how the kernel
// should back it.
#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>

#include "exports.h"

namespace sunstar {
namespace {

struct Range {
  char* data = nullptr;
  size_t size = 0;
};

// napi_get_typedarray_info gives the pointer of a view over a SharedArrayBuffer too.
Range RangeOf(Napi::Value view) {
  Range range;
  void* data = nullptr;
  size_t length = 0;
  napi_typedarray_type type{};
  if (napi_get_typedarray_info(view.Env(), view, &type, &length, &data, nullptr, nullptr) == napi_ok &&
      type == napi_uint8_array) {
    range = {static_cast<char*>(data), length};
  }
  return range;
}

// addressOf(bytes: Uint8Array): its address, exact as a double in a 47-bit address space
Napi::Value AddressOf(const Napi::CallbackInfo& info) {
  return Napi::Number::New(info.Env(), static_cast<double>(reinterpret_cast<uintptr_t>(RangeOf(info[0]).data)));
}

// aliasOf(bytes: Uint8Array): an ArrayBuffer over the same memory, which it does not own
Napi::Value AliasOf(const Napi::CallbackInfo& info) {
  const Range range = RangeOf(info[0]);
  return Napi::ArrayBuffer::New(info.Env(), range.data, range.size);
}

// adviseHugePages(bytes: Uint8Array, wanted: boolean): 0 or a negative error number
Napi::Value AdviseHugePages(const Napi::CallbackInfo& info) {
  const Range range = RangeOf(info[0]);
  const int result = madvise(range.data, range.size, info[1].ToBoolean() ? MADV_HUGEPAGE : MADV_NOHUGEPAGE);
  return Napi::Number::New(info.Env(), result == 0 ? 0 : -errno);
}

}  // namespace

void ExportArena(Napi::Env env, Napi::Object exports) {
  exports["addressOf"] = Napi::Function::New<AddressOf>(env, "addressOf");
  exports["aliasOf"] = Napi::Function::New<AliasOf>(env, "aliasOf");
  exports["adviseHugePages"] = Napi::Function::New<AdviseHugePages>(env, "adviseHugePages");
}

}  // namespace sunstar
