// The JavaScript stack of a running thread, taken by the thread itself when another asks for it.
// Node-API has no call for that, so V8's own functions are looked up by name at run time: these
// have kept their signatures from Node 20 to 26, and where one is missing there is no stack.
#pragma once

#include <napi.h>

#include <cstdint>
#include <string>
#include <vector>

namespace sunstar::stack {

struct Frame {
  std::string function;  // empty for a function without a name
  std::string file;
  int32_t line;  // from 1
  int32_t column;
};

// Whether this process's V8 has what is needed.
bool Available();
// The calling thread's isolate, or nullptr.
void* CurrentIsolate();
// Has `callback` called on the isolate's thread as soon as JavaScript runs there and reaches a
// function's entry or a loop's end. From any thread; the isolate must live. Not called at all when
// JavaScript never runs again.
void RequestInterrupt(void* isolate, void (*callback)(void* isolate, void* data), void* data);
// For such a callback: who runs, the innermost first.
std::vector<Frame> Current(napi_env env, void* isolate, int limit);

}  // namespace sunstar::stack
