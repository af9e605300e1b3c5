#pragma once

#include <napi.h>

namespace sunstar {

void ExportRing(Napi::Env env, Napi::Object exports);
void ExportArena(Napi::Env env, Napi::Object exports);
void ExportSocket(Napi::Env env, Napi::Object exports);
void ExportSocketInfo(Napi::Env env, Napi::Object exports);
void ExportZeroCopy(Napi::Env env, Napi::Object exports);
void ExportFile(Napi::Env env, Napi::Object exports);
void ExportCpu(Napi::Env env, Napi::Object exports);
void ExportDescriptors(Napi::Env env, Napi::Object exports);
void ExportChecksum(Napi::Env env, Napi::Object exports);
void ExportBytes(Napi::Env env, Napi::Object exports);
void ExportStall(Napi::Env env, Napi::Object exports);

}  // namespace sunstar
