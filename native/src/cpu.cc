// Where this thread may run.
#include <sched.h>

#include <cerrno>

#include "exports.h"

namespace sunstar {
namespace {

// Large enough for every machine that Linux supports.
constexpr int kMaxCpus = 8192;

// allowedCpus(): the CPU numbers that this thread may run on, or a negative error number
Napi::Value AllowedCpus(const Napi::CallbackInfo& info) {
  cpu_set_t* set = CPU_ALLOC(kMaxCpus);
  const size_t size = CPU_ALLOC_SIZE(kMaxCpus);
  CPU_ZERO_S(size, set);
  if (sched_getaffinity(0, size, set) != 0) {
    CPU_FREE(set);
    return Napi::Number::New(info.Env(), -errno);
  }
  auto cpus = Napi::Array::New(info.Env());
  uint32_t count = 0;
  for (int cpu = 0; cpu < kMaxCpus; cpu++) {
    if (CPU_ISSET_S(cpu, size, set)) cpus.Set(count++, Napi::Number::New(info.Env(), cpu));
  }
  CPU_FREE(set);
  return cpus;
}

// pinThread(cpus: number[]): 0 or a negative error number
Napi::Value PinThread(const Napi::CallbackInfo& info) {
  const auto cpus = info[0].As<Napi::Array>();
  cpu_set_t* set = CPU_ALLOC(kMaxCpus);
  const size_t size = CPU_ALLOC_SIZE(kMaxCpus);
  CPU_ZERO_S(size, set);
  for (uint32_t i = 0; i < cpus.Length(); i++) {
    const uint32_t cpu = cpus.Get(i).As<Napi::Number>().Uint32Value();
    if (cpu < kMaxCpus) CPU_SET_S(cpu, size, set);
  }
  const int result = sched_setaffinity(0, size, set) == 0 ? 0 : -errno;
  CPU_FREE(set);
  return Napi::Number::New(info.Env(), result);
}

}  // namespace

void ExportCpu(Napi::Env env, Napi::Object exports) {
  exports["allowedCpus"] = Napi::Function::New<AllowedCpus>(env, "allowedCpus");
  exports["pinThread"] = Napi::Function::New<PinThread>(env, "pinThread");
}

}  // namespace sunstar
