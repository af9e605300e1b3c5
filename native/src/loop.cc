#include "loop.h"

#include <sched.h>
#include <time.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

namespace sunstar {
namespace {

// How often the clock is read while polling: a pause is some tens of nanoseconds.
constexpr int kPausesPerClockRead = 32;

// How often a thread that polls offers its processor to others: to the kernel's own threads first of all, which serve
// syncs and writes that make a file longer, and may be waiting for just this processor.
constexpr double kYieldEveryMs = 0.02;

// A turn that takes longer may have been interrupted by other programs: its processor time is asked for.
constexpr double kSuspiciousMs = 1;
// How long the processor time may be estimated before it is asked for.
constexpr double kEstimateMs = 10;

// Every tick leaves handles of JavaScript values in the scope around it. One scope for each would be felt in the latency
// of a call; none but that of the whole stay would let a thread that never goes back to libuv grow for ever.
constexpr int kTicksPerScope = 256;

double Milliseconds(clockid_t clock) {
  timespec now{};
  clock_gettime(clock, &now);
  return static_cast<double>(now.tv_sec) * 1e3 + static_cast<double>(now.tv_nsec) / 1e6;
}

double NowMs() { return Milliseconds(CLOCK_MONOTONIC); }

void Pause() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

}  // namespace

Loop* Loop::Start(Napi::Env env, Ring* ring, Napi::Function tick) {
  auto* self = new Loop();
  self->env_ = env;
  self->ring_ = ring;
  self->tick_ = Napi::Persistent(tick);
  self->receiver_ = Napi::Persistent(Napi::Object::New(env));
  napi_async_init(env, self->receiver_.Value(), Napi::String::New(env, "sunstar:reactor"), &self->context_);
  napi_get_uv_event_loop(env, &self->uv_);
  uv_prepare_init(self->uv_, &self->prepare_);
  uv_idle_init(self->uv_, &self->idle_);
  self->prepare_.data = self;
  self->idle_.data = self;
  uv_prepare_start(&self->prepare_, OnPrepare);
  uv_unref(reinterpret_cast<uv_handle_t*>(&self->prepare_));
  uv_unref(reinterpret_cast<uv_handle_t*>(&self->idle_));
  napi_add_async_cleanup_hook(env, OnCleanup, self, &self->hook_);
  self->last_ms_ = NowMs();
  self->monitored_ = monitor::Watch(env, ring->control(), ring->fd());
  return self;
}

void Loop::Ref() { uv_ref(reinterpret_cast<uv_handle_t*>(&prepare_)); }

void Loop::Unref() { uv_unref(reinterpret_cast<uv_handle_t*>(&prepare_)); }

int Loop::BackendFd() const { return uv_backend_fd(uv_); }

void Loop::Watch(Napi::Int32Array words, const std::vector<uint32_t>& pairs, uint32_t sleeping) {
  watched_ = Napi::Persistent(words);
  int32_t* base = words.Data();
  pairs_.clear();
  for (size_t i = 0; i + 1 < pairs.size(); i += 2) pairs_.push_back({base + pairs[i], base + pairs[i + 1]});
  sleeping_ = base + sleeping;
}

bool Loop::HasWork() const {
  const int32_t* control = ring_->control();
  if (control[kControlMore] != 0 || control[kControlLibuvArmed] == 0 || ring_->HasCompletions()) return true;
  for (const Pair& pair : pairs_) {
    if (__atomic_load_n(pair.tail, __ATOMIC_ACQUIRE) != __atomic_load_n(pair.head, __ATOMIC_RELAXED)) return true;
  }
  return false;
}

bool Loop::LibuvHasWork() const {
  // A watcher that JavaScript has just started is registered with epoll only when libuv polls, so
  // the ring's poll of the backend fd would not see its events.
  const void* queue = &uv_->watcher_queue;
  const void* next = nullptr;
  memcpy(&next, queue, sizeof next);
  return next != queue || ring_->control()[kControlLibuvReady] != 0;
}

void Loop::DetectStalls(int64_t threshold_ns, int32_t reports_per_minute) {
  monitor::DetectStalls(monitored_, threshold_ns, reports_per_minute);
}

void Loop::BeginTurn() {
  int32_t* control = ring_->control();
  turn_since_ms_ = NowMs();
  if (control[kControlGrouped] != 0) PassOver(turn_since_ms_ - last_ms_);
  last_ms_ = turn_since_ms_;
  memcpy(control + kControlNowMs, &turn_since_ms_, sizeof turn_since_ms_);
  __atomic_store_n(control + kControlTurn, control[kControlTurn] + 1, __ATOMIC_RELEASE);
  __atomic_store_n(control + kControlPreempt, 0, __ATOMIC_RELAXED);
}

// What the turn has submitted is part of it.
void Loop::EndTurn() {
  int32_t* control = ring_->control();
  if (control[kControlGrouped] == 0) return;
  last_ms_ = NowMs();
  const double turn_ms = Used(last_ms_ - turn_since_ms_);
  memcpy(control + kControlTurnMs, &turn_ms, sizeof turn_ms);
}

// How much of some time this thread had the processor. The exact clock is a system call, so it is
// read only where other programs may have taken a good part; elsewhere the time itself is the answer.
double Loop::Used(double elapsed_ms) {
  if (elapsed_ms < kSuspiciousMs) {
    estimated_ms_ += elapsed_ms;
    return elapsed_ms;
  }
  const double processor_ms = Milliseconds(CLOCK_THREAD_CPUTIME_ID);
  const double used_ms = processor_ms - processor_ms_ - estimated_ms_;
  processor_ms_ = processor_ms;
  estimated_ms_ = 0;
  return std::clamp(used_ms, 0.0, elapsed_ms);
}

// Time that belongs to nobody's turn: it may have been slept.
void Loop::PassOver(double elapsed_ms) {
  estimated_ms_ += elapsed_ms;
  if (estimated_ms_ < kEstimateMs) return;
  processor_ms_ = Milliseconds(CLOCK_THREAD_CPUTIME_ID);
  estimated_ms_ = 0;
}

void Loop::Leave() {
  turn_begun_ = false;
  ring_->control()[kControlGroup] = 0;
  BeginTurn();
}

void Loop::ComeBack() {
  const double left_ms = last_ms_;
  last_ms_ = NowMs();
  if (ring_->control()[kControlGrouped] != 0) {
    outside_ms_ += Used(last_ms_ - left_ms);
    memcpy(ring_->control() + kControlOutsideMs, &outside_ms_, sizeof outside_ms_);
  }
  BeginTurn();
}

void Loop::FallAsleep() {
  turn_begun_ = false;
  asleep_since_ms_ = NowMs();
  __atomic_store_n(ring_->control() + kControlAsleep, 1, __ATOMIC_RELAXED);
}

void Loop::WakeUp() {
  // First: a thread that is awake must not seem to be in the turn that it began before it slept.
  BeginTurn();
  int32_t* control = ring_->control();
  idle_ms_ += turn_since_ms_ - asleep_since_ms_;
  memcpy(control + kControlIdleMs, &idle_ms_, sizeof idle_ms_);
  __atomic_store_n(control + kControlAsleep, 0, __ATOMIC_RELEASE);
  monitor::Rouse();
  turn_begun_ = true;
}

// Runs JavaScript, then drains its microtasks. False when this environment is being stopped.
bool Loop::Tick() {
  // The clock was read a moment ago when the thread has just woken up; each look at it shows in a call's latency.
  if (!turn_begun_) BeginTurn();
  turn_begun_ = false;
  ring_->control()[kControlTicks]++;
  ring_->control()[kControlMore] = 0;
  napi_value result = nullptr;
  const napi_status status =
      napi_make_callback(env_, context_, receiver_.Value(), tick_.Value(), 0, nullptr, &result);
  if (status == napi_ok) return true;
  // Something thrown by a process.nextTick of the batch, or the termination of this thread: the
  // second cannot be reported and ends the loop.
  napi_value error = nullptr;
  if (napi_get_and_clear_last_exception(env_, &error) == napi_ok &&
      napi_fatal_exception(env_, error) == napi_ok) {
    return true;
  }
  dead_ = true;
  uv_prepare_stop(&prepare_);
  return false;
}

// Looks for work without sleeping for the configured time. True when there is some.
bool Loop::Poll(int timeout_ms) {
  const int32_t idle_us = ring_->control()[kControlIdlePollUs];
  if (idle_us <= 0) return false;
  double limit_ms = idle_us / 1e3;
  if (timeout_ms >= 0) limit_ms = std::min<double>(limit_ms, timeout_ms);
  const double deadline_ms = asleep_since_ms_ + limit_ms;
  double now_ms = asleep_since_ms_;
  double yield_ms = now_ms + kYieldEveryMs;
  do {
    for (int i = 0; i < kPausesPerClockRead; i++) {
      if (HasWork()) return true;
      if (ring_->NeedsEnter()) {
        ring_->Enter(0, 0);
        if (HasWork()) return true;
      }
      Pause();
    }
    now_ms = NowMs();
    if (now_ms >= yield_ms) {
      sched_yield();
      yield_ms = now_ms + kYieldEveryMs;
    }
  } while (now_ms < deadline_ms);
  return false;
}

// Sleeps until a completion or the timeout; returns 0 or a negative error number.
int Loop::Sleep(int timeout_ms) {
  ring_->control()[kControlSleeps]++;
  if (sleeping_ != nullptr) {
    // Announce first, look again after: a producer publishes first and looks at the flag after.
    __atomic_store_n(sleeping_, 1, __ATOMIC_SEQ_CST);
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    if (HasWork()) {
      __atomic_store_n(sleeping_, 0, __ATOMIC_SEQ_CST);
      return 0;
    }
  }
  const int result = ring_->EnterAndWait(ring_->Unsubmitted(), timeout_ms);
  if (sleeping_ != nullptr) __atomic_store_n(sleeping_, 0, __ATOMIC_SEQ_CST);
  return result;
}

void Loop::Run() {
  ComeBack();
  // Whoever was called by libuv may wait for the memory of a send: this thread may not wake up for long.
  if (ring_->control()[kControlAtOnce] != 0) ring_->control()[kControlMore] = 1;
  for (bool stays = true; stays;) {
    const Napi::HandleScope scope(env_);
    stays = Stay();
  }
  if (dead_) return;
  Leave();
  // libuv's own poll, which follows, must not sleep.
  uv_idle_start(&idle_, OnIdle);
}

// Ticks and sleeps for the time of one scope. False when it is over: this environment is being stopped, or libuv has work.
bool Loop::Stay() {
  for (int i = 0; i < kTicksPerScope; i++) {
    const bool ran = HasWork();
    if (ran && !Tick()) return false;
    const uint32_t unsubmitted = ring_->Unsubmitted();
    uv_update_time(uv_);
    // Zero when libuv has something to run, a timer is due, or nothing keeps the loop alive.
    const int timeout_ms = uv_backend_timeout(uv_);
    const bool back_to_libuv = timeout_ms == 0 || LibuvHasWork();
    const bool may_poll = ring_->control()[kControlIdlePollUs] > 0;
    if (back_to_libuv || may_poll || HasWork()) {
      if (unsubmitted != 0 || ring_->NeedsEnter()) ring_->Enter(unsubmitted, 0);
      if (ran) EndTurn();
      if (back_to_libuv) return false;
      if (HasWork()) continue;
    } else if (ran) {
      EndTurn();
    }
    FallAsleep();
    const bool timed_out = !Poll(timeout_ms) && Sleep(timeout_ms) == -ETIME;
    WakeUp();
    if (timed_out) return false;
  }
  return true;
}

void Loop::OnPrepare(uv_prepare_t* handle) { static_cast<Loop*>(handle->data)->Run(); }

void Loop::OnIdle(uv_idle_t* handle) { uv_idle_stop(handle); }

void Loop::OnCleanup(napi_async_cleanup_hook_handle hook, void* data) {
  auto* self = static_cast<Loop*>(data);
  self->dead_ = true;
  monitor::Unwatch(self->monitored_);
  uv_prepare_stop(&self->prepare_);
  uv_idle_stop(&self->idle_);
  self->ring_->Teardown();
  uv_close(reinterpret_cast<uv_handle_t*>(&self->prepare_), OnClosed);
  uv_close(reinterpret_cast<uv_handle_t*>(&self->idle_), OnClosed);
}

void Loop::OnClosed(uv_handle_t* handle) {
  auto* self = static_cast<Loop*>(handle->data);
  if (--self->open_handles_ != 0) return;
  // The references belong to an environment that is going away with them.
  self->tick_.SuppressDestruct();
  self->receiver_.SuppressDestruct();
  self->watched_.SuppressDestruct();
  napi_remove_async_cleanup_hook(self->hook_);
  delete self->ring_;
  delete self;
}

}  // namespace sunstar
