#include "stack.h"

#include <dlfcn.h>

#include <algorithm>

namespace sunstar::stack {
namespace {

constexpr size_t kMaxTextBytes = 1024;
// v8::StackTrace::kOverview: line, column, script and function.
constexpr int kOverview = 0x0f;

// v8::Location is two ints and v8::Local one pointer: both come back in a register on x64 and arm64.
struct V8 {
  void* (*get_current)();
  void (*request_interrupt)(void* isolate, void (*callback)(void*, void*), void* data);
  void* (*current_stack_trace)(void* isolate, int limit, int options);
  int (*frame_count)(const void* trace);
  void* (*frame)(const void* trace, void* isolate, uint32_t index);
  int64_t (*location)(const void* frame);
  void* (*script_name)(const void* frame);
  void* (*function_name)(const void* frame);
  bool complete;
};

template <typename Function>
bool Find(Function& function, const char* symbol) {
  function = reinterpret_cast<Function>(dlsym(RTLD_DEFAULT, symbol));
  return function != nullptr;
}

const V8& v8() {
  static const V8 found = [] {
    V8 v8{};
    v8.complete =
        Find(v8.get_current, "_ZN2v87Isolate10GetCurrentEv") &&
        Find(v8.request_interrupt, "_ZN2v87Isolate16RequestInterruptEPFvPS0_PvES2_") &&
        Find(v8.current_stack_trace, "_ZN2v810StackTrace17CurrentStackTraceEPNS_7IsolateEiNS0_17StackTraceOptionsE") &&
        Find(v8.frame_count, "_ZNK2v810StackTrace13GetFrameCountEv") &&
        Find(v8.frame, "_ZNK2v810StackTrace8GetFrameEPNS_7IsolateEj") &&
        Find(v8.location, "_ZNK2v810StackFrame11GetLocationEv") &&
        Find(v8.script_name, "_ZNK2v810StackFrame13GetScriptNameEv") &&
        Find(v8.function_name, "_ZNK2v810StackFrame15GetFunctionNameEv");
    return v8;
  }();
  return found;
}

std::string Text(napi_env env, void* handle) {
  if (handle == nullptr) return {};
  // A napi_value is the pointer inside a v8::Local.
  char bytes[kMaxTextBytes];
  size_t length = 0;
  if (napi_get_value_string_utf8(env, static_cast<napi_value>(handle), bytes, sizeof bytes, &length) != napi_ok) {
    return {};
  }
  return {bytes, length};
}

}  // namespace

bool Available() { return v8().complete; }

void* CurrentIsolate() { return Available() ? v8().get_current() : nullptr; }

void RequestInterrupt(void* isolate, void (*callback)(void*, void*), void* data) {
  v8().request_interrupt(isolate, callback, data);
}

std::vector<Frame> Current(napi_env env, void* isolate, int limit) {
  std::vector<Frame> frames;
  const void* trace = v8().current_stack_trace(isolate, limit, kOverview);
  if (trace == nullptr) return frames;
  const int count = std::min(limit, v8().frame_count(trace));
  for (int i = 0; i < count; i++) {
    const void* frame = v8().frame(trace, isolate, static_cast<uint32_t>(i));
    if (frame == nullptr) break;
    const int64_t location = v8().location(frame);
    frames.push_back({Text(env, v8().function_name(frame)), Text(env, v8().script_name(frame)),
                      static_cast<int32_t>(location) + 1, static_cast<int32_t>(location >> 32) + 1});
  }
  return frames;
}

}  // namespace sunstar::stack
