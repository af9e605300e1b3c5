// The owned wait: the shard's thread sleeps in io_uring_enter instead of epoll_wait. Once per turn
// of libuv's loop a prepare hook runs the reactor's tick for as long as there is work, then blocks
// in the ring until a completion, a message from another shard, a libuv timer or an event of
// libuv's own (its backend fd is polled by the ring) ends the wait.
#pragma once

#include <napi.h>
#include <uv.h>

#include <vector>

#include "monitor.h"
#include "ring.h"

namespace sunstar {

class Loop {
 public:
  // Takes over the thread of `env`; `tick` is called with no arguments.
  static Loop* Start(Napi::Env env, Ring* ring, Napi::Function tick);

  void Ref();
  void Unref();
  int BackendFd() const;
  // Words that other threads write: the thread is woken, or does not fall asleep, while any
  // pair (tail, head) differs. `sleeping` is 1 only while the thread sleeps.
  void Watch(Napi::Int32Array words, const std::vector<uint32_t>& pairs, uint32_t sleeping);
  // See monitor.h.
  void DetectStalls(int64_t threshold_ns, int32_t reports_per_minute);

 private:
  struct Pair {
    const int32_t* tail;
    const int32_t* head;
  };

  static void OnPrepare(uv_prepare_t* handle);
  static void OnIdle(uv_idle_t* handle);
  static void OnCleanup(napi_async_cleanup_hook_handle hook, void* self);
  static void OnClosed(uv_handle_t* handle);

  void Run();
  bool Stay();
  bool HasWork() const;
  bool LibuvHasWork() const;
  bool Poll(int timeout_ms);
  int Sleep(int timeout_ms);
  // What the monitor sees.
  void BeginTurn();
  void EndTurn();
  double Used(double elapsed_ms);
  void PassOver(double elapsed_ms);
  void Leave();
  void ComeBack();
  void FallAsleep();
  void WakeUp();
  bool Tick();

  napi_env env_ = nullptr;
  Ring* ring_ = nullptr;
  monitor::Watched* monitored_ = nullptr;
  Napi::FunctionReference tick_;
  Napi::ObjectReference receiver_;
  Napi::Reference<Napi::Int32Array> watched_;
  napi_async_context context_ = nullptr;
  napi_async_cleanup_hook_handle hook_ = nullptr;
  uv_loop_t* uv_ = nullptr;
  uv_prepare_t prepare_{};
  uv_idle_t idle_{};
  int open_handles_ = 2;
  double asleep_since_ms_ = 0;
  double idle_ms_ = 0;
  bool dead_ = false;
  double turn_since_ms_ = 0;
  // The turn of the next tick has begun: the thread has woken up for it.
  bool turn_begun_ = false;
  // The end of the last turn, or when the thread was last left to libuv.
  double last_ms_ = 0;
  double outside_ms_ = 0;
  // The thread's processor time when it was last asked for, and what it is thought to have used since.
  double processor_ms_ = 0;
  double estimated_ms_ = 0;
  std::vector<Pair> pairs_;
  int32_t* sleeping_ = nullptr;
};

}  // namespace sunstar
