#include <sys/uio.h>

#include <vector>

#include "exports.h"

#include "emulated_ring.h"
#include "kernel_ring.h"
#include "loop.h"

namespace sunstar {
namespace {

// The JavaScript object owns nothing: ring and loop live until the environment's clean-up, because
// the kernel and JavaScript's views use their memory until then.
class RingBinding : public Napi::ObjectWrap<RingBinding> {
 public:
  static Napi::Function Define(Napi::Env env) {
    return DefineClass(env, "Ring",
                       {
                           InstanceMethod<&RingBinding::Enter>("enter"),
                           InstanceMethod<&RingBinding::Start>("start"),
                           InstanceMethod<&RingBinding::Watch>("watch"),
                           InstanceMethod<&RingBinding::DetectStalls>("detectStalls"),
                           InstanceMethod<&RingBinding::Ref>("ref"),
                           InstanceMethod<&RingBinding::Unref>("unref"),
                           InstanceMethod<&RingBinding::Probe>("probe"),
                           InstanceMethod<&RingBinding::RegisterBufferRing>("registerBufferRing"),
                           InstanceMethod<&RingBinding::UnregisterBufferRing>("unregisterBufferRing"),
                           InstanceMethod<&RingBinding::RegisterBuffers>("registerBuffers"),
                           InstanceMethod<&RingBinding::RegisterFiles>("registerFiles"),
                           InstanceMethod<&RingBinding::UpdateRegisteredFile>("updateRegisteredFile"),
                       });
  }

  explicit RingBinding(const Napi::CallbackInfo& info)
      : Napi::ObjectWrap<RingBinding>(info), ring_(info[0].As<Napi::External<Ring>>().Data()) {}

 private:
  Napi::Value Enter(const Napi::CallbackInfo& info) {
    return Napi::Number::New(info.Env(), ring_->Enter(ring_->Unsubmitted(), info[0].As<Napi::Number>().Uint32Value()));
  }

  // start(tick): libuv's backend fd
  Napi::Value Start(const Napi::CallbackInfo& info) {
    loop_ = Loop::Start(info.Env(), ring_, info[0].As<Napi::Function>());
    return Napi::Number::New(info.Env(), loop_->BackendFd());
  }

  // watch(words, pairs, sleeping)
  void Watch(const Napi::CallbackInfo& info) {
    const auto list = info[1].As<Napi::Int32Array>();
    std::vector<uint32_t> pairs;
    for (size_t i = 0; i < list.ElementLength(); i++) pairs.push_back(static_cast<uint32_t>(list[i]));
    loop_->Watch(info[0].As<Napi::Int32Array>(), pairs, info[2].As<Napi::Number>().Uint32Value());
  }

  // detectStalls(thresholdMs, reportsPerMinute)
  void DetectStalls(const Napi::CallbackInfo& info) {
    loop_->DetectStalls(static_cast<int64_t>(info[0].As<Napi::Number>().DoubleValue() * 1e6),
                        info[1].As<Napi::Number>().Int32Value());
  }

  void Ref(const Napi::CallbackInfo&) { loop_->Ref(); }
  void Unref(const Napi::CallbackInfo&) { loop_->Unref(); }

  // probe(): one byte for each operation code, 1 where the kernel supports it; or an error number
  Napi::Value Probe(const Napi::CallbackInfo& info) {
    auto supported = Napi::Uint8Array::New(info.Env(), Ring::kOperationCodes);
    const int result = ring_->Probe(supported.Data());
    if (result < 0) return Napi::Number::New(info.Env(), result);
    return supported;
  }

  // registerBufferRing(group, entries, isIncremental): its memory, or a negative error number
  Napi::Value RegisterBufferRing(const Napi::CallbackInfo& info) {
    const auto group = static_cast<uint16_t>(info[0].As<Napi::Number>().Uint32Value());
    const uint32_t entries = info[1].As<Napi::Number>().Uint32Value();
    const bool is_incremental = info[2].ToBoolean();
    int error = 0;
    void* memory = ring_->RegisterBufferRing(group, entries, is_incremental, &error);
    if (memory == nullptr) return Napi::Number::New(info.Env(), error);
    return Napi::ArrayBuffer::New(info.Env(), memory, entries * sizeof(ProvidedBuffer));
  }

  Napi::Value UnregisterBufferRing(const Napi::CallbackInfo& info) {
    const auto group = static_cast<uint16_t>(info[0].As<Napi::Number>().Uint32Value());
    return Napi::Number::New(info.Env(), ring_->UnregisterBufferRing(group));
  }

  // registerBuffers(pieces: pairs of address and length): 0 or a negative error number
  Napi::Value RegisterBuffers(const Napi::CallbackInfo& info) {
    const auto pieces = info[0].As<Napi::Float64Array>();
    std::vector<iovec> buffers;
    for (size_t i = 0; i + 1 < pieces.ElementLength(); i += 2) {
      buffers.push_back({reinterpret_cast<void*>(static_cast<uintptr_t>(pieces[i])), static_cast<size_t>(pieces[i + 1])});
    }
    return Napi::Number::New(info.Env(), ring_->RegisterBuffers(buffers.data(), static_cast<uint32_t>(buffers.size())));
  }

  // registerFiles(descriptors): 0 or a negative error number
  Napi::Value RegisterFiles(const Napi::CallbackInfo& info) {
    const auto descriptors = info[0].As<Napi::Int32Array>();
    const auto count = static_cast<uint32_t>(descriptors.ElementLength());
    return Napi::Number::New(info.Env(), ring_->RegisterFiles(descriptors.Data(), count));
  }

  // updateRegisteredFile(slot, descriptor): 0 or a negative error number
  Napi::Value UpdateRegisteredFile(const Napi::CallbackInfo& info) {
    const uint32_t slot = info[0].As<Napi::Number>().Uint32Value();
    const int32_t descriptor = info[1].As<Napi::Number>().Int32Value();
    return Napi::Number::New(info.Env(), ring_->UpdateRegisteredFile(slot, descriptor));
  }

  Ring* ring_;
  Loop* loop_ = nullptr;
};

// probeRing(): what a ring of the kernel would offer, or a negative error number
Napi::Value ProbeRing(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  KernelRing ring;
  int result = ring.Setup(1, 1);
  if (result != 0) return Napi::Number::New(env, result);
  auto supported = Napi::Uint8Array::New(env, Ring::kOperationCodes);
  result = ring.Probe(supported.Data());
  const uint32_t features = ring.params().features;
  ring.Teardown();
  auto support = Napi::Object::New(env);
  support["features"] = Napi::Number::New(env, features);
  support["operations"] = result < 0 ? Napi::Number::New(env, result).As<Napi::Value>() : supported;
  return support;
}

// createRing(entries, cqEntries, isEmulated): a description, or a negative error number
Napi::Value CreateRing(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  Ring* ring = nullptr;
  if (info[2].ToBoolean()) ring = new EmulatedRing();
  else ring = new KernelRing();
  const int error = ring->Setup(info[0].As<Napi::Number>().Uint32Value(), info[1].As<Napi::Number>().Uint32Value());
  if (error != 0) {
    delete ring;
    return Napi::Number::New(env, error);
  }
  const io_uring_params& params = ring->params();
  auto constructor = env.GetInstanceData<Napi::FunctionReference>();
  auto result = Napi::Object::New(env);
  result["ring"] = constructor->New({Napi::External<Ring>::New(env, ring)});
  result["fd"] = Napi::Number::New(env, ring->fd());
  result["flags"] = Napi::Number::New(env, params.flags);
  result["features"] = Napi::Number::New(env, params.features);
  result["sqEntries"] = Napi::Number::New(env, params.sq_entries);
  result["cqEntries"] = Napi::Number::New(env, params.cq_entries);
  result["sqHead"] = Napi::Number::New(env, params.sq_off.head / sizeof(uint32_t));
  result["sqTail"] = Napi::Number::New(env, params.sq_off.tail / sizeof(uint32_t));
  result["cqHead"] = Napi::Number::New(env, params.cq_off.head / sizeof(uint32_t));
  result["cqTail"] = Napi::Number::New(env, params.cq_off.tail / sizeof(uint32_t));
  result["cqes"] = Napi::Number::New(env, params.cq_off.cqes / sizeof(uint32_t));
  result["queues"] = Napi::ArrayBuffer::New(env, ring->memory(), ring->memory_size());
  result["entries"] = Napi::ArrayBuffer::New(env, ring->entries(), ring->entries_size());
  result["control"] = Napi::ArrayBuffer::New(env, ring->control(), kControlWords * sizeof(int32_t));
  result["descriptors"] = Napi::ArrayBuffer::New(env, ring->descriptors(), ring->descriptors_size());
  result["zeroCopy"] = Napi::ArrayBuffer::New(env, ring->zero_copy(), ring->descriptors_size());
  return result;
}

}  // namespace

void ExportRing(Napi::Env env, Napi::Object exports) {
  auto* constructor = new Napi::FunctionReference(Napi::Persistent(RingBinding::Define(env)));
  env.SetInstanceData(constructor);
  exports["probeRing"] = Napi::Function::New(env, ProbeRing, "probeRing");
  exports["createRing"] = Napi::Function::New(env, CreateRing, "createRing");
}

}  // namespace sunstar
