#include "monitor.h"

#include <linux/futex.h>
#include <linux/membarrier.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <mutex>
#include <vector>

#include "ring.h"
#include "stall.h"

namespace sunstar::monitor {

int32_t dormant = 0;

struct Watched {
  int32_t* control;
  int32_t turn;
  stall::Detector detector;
};

namespace {

constexpr int64_t kMinIntervalNs = 50'000;
// A look costs microseconds. When no turn has used up half of its quota for this long, …
constexpr int64_t kCalmAfterNs = 50'000'000;
// … the monitor looks once in so many quotas: the first long turn is told late, the next in time.
constexpr int64_t kCalmQuotas = 4;
// How long every loop must have slept before the monitor stops looking.
constexpr int64_t kDormantAfterNs = 5'000'000;
// Without membarrier a loop that wakes in the same instant may be missed: look again this often.
constexpr int64_t kUnfencedDormantNs = 100'000'000;
constexpr unsigned long kTimerSlackNs = 10'000;
constexpr uint64_t kSliceNs = 100'000;

struct State {
  std::mutex life;  // held while the thread starts or ends; taken before `mutex`
  pthread_t thread{};
  bool running = false;
  int32_t stop = 0;
  std::mutex mutex;
  std::vector<Watched*> watched;
};

// Never destroyed: exit() runs destructors while the thread may still look at it.
State& state() {
  static State* instance = new State();
  return *instance;
}

int64_t NowNs() {
  timespec now{};
  clock_gettime(CLOCK_MONOTONIC, &now);
  return now.tv_sec * int64_t{1'000'000'000} + now.tv_nsec;
}

int32_t Load(const int32_t* word) { return __atomic_load_n(word, __ATOMIC_ACQUIRE); }
void Store(int32_t* word, int32_t value) { __atomic_store_n(word, value, __ATOMIC_RELEASE); }

// timeout_ns < 0 waits for ever.
void FutexWait(int32_t* word, int32_t expected, int64_t timeout_ns) {
  timespec limit{static_cast<time_t>(timeout_ns / 1'000'000'000), static_cast<long>(timeout_ns % 1'000'000'000)};
  syscall(SYS_futex, word, FUTEX_WAIT_PRIVATE, expected, timeout_ns < 0 ? nullptr : &limit, nullptr, 0);
}

void FutexWake(int32_t* word) { syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, 1, nullptr, nullptr, 0); }

// Every other thread of the process has executed a full barrier when this returns true.
bool BarrierEverywhere() {
  static const bool registered =
      syscall(SYS_membarrier, MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED, 0, 0) == 0;
  return registered && syscall(SYS_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED, 0, 0) == 0;
}

struct Pace {
  bool active = false;  // a loop is awake, or has been since the last look
  bool calm = true;     // no turn has used up half of its quota
  int64_t wait_ns = kDormantAfterNs;
};

// When the running turn began.
int64_t TurnBeganNs(const int32_t* control) {
  double began_ms = 0;
  memcpy(&began_ms, control + kControlNowMs, sizeof began_ms);
  return static_cast<int64_t>(began_ms * 1e6);
}

void Look(Watched& watched, int64_t now_ns, bool calm, Pace& pace) {
  int32_t* control = watched.control;
  const int64_t quota_ns = int64_t{control[kControlQuotaUs]} * 1000;
  pace.wait_ns = std::min(pace.wait_ns, calm ? kCalmQuotas * quota_ns : quota_ns);
  // In the reverse of the order in which a loop writes them when it wakes.
  const bool asleep = Load(control + kControlAsleep) != 0;
  const int32_t turn = Load(control + kControlTurn);
  const int64_t began_ns = TurnBeganNs(control);
  if (turn != watched.turn) {
    watched.turn = turn;
    pace.active = true;
    watched.detector.TurnEnded(began_ns);
  }
  if (asleep) {
    watched.detector.TurnEnded(now_ns);
    return;
  }
  pace.active = true;
  const int64_t age_ns = now_ns - began_ns;
  if (age_ns >= quota_ns / 2) pace.calm = false;
  if (age_ns < quota_ns - quota_ns / 8) {
    if (!calm) pace.wait_ns = std::min(pace.wait_ns, std::max(quota_ns - age_ns, quota_ns / 2));
    return;
  }
  Store(control + kControlPreempt, 1);
  if (Load(control + kControlTurn) == turn) {
    watched.detector.SameTurn(turn, began_ns, now_ns);
  } else {
    // It was for a turn that has ended meanwhile.
    Store(control + kControlPreempt, 0);
  }
}

// Returns when a loop has woken up, or at the end.
void GoDormant(State& self) {
  __atomic_store_n(&dormant, 1, __ATOMIC_SEQ_CST);
  const bool fenced = BarrierEverywhere();
  {
    std::lock_guard lock(self.mutex);
    for (const Watched* watched : self.watched) {
      if (Load(watched->control + kControlAsleep) == 0 || Load(watched->control + kControlTurn) != watched->turn) {
        Store(&dormant, 0);
        return;
      }
    }
  }
  // Whoever stops the thread sets `stop` first and clears `dormant` after.
  if (Load(&self.stop) == 0) FutexWait(&dormant, 1, fenced ? -1 : kUnfencedDormantNs);
  Store(&dormant, 0);
}

// The kernel's struct sched_attr, which glibc 2.36 does not have.
struct SchedulingAttributes {
  uint32_t size;
  uint32_t policy;
  uint64_t flags;
  int32_t nice;
  uint32_t priority;
  uint64_t runtime_ns;
  uint64_t deadline_ns;
  uint64_t period_ns;
};

void SetUpThread() {
  pthread_setname_np(pthread_self(), "sunstar-monitor");
  prctl(PR_SET_TIMERSLACK, kTimerSlackNs);
  // From Linux 6.12 a thread that asks for a short slice gets it sooner; older kernels ignore it.
  SchedulingAttributes attributes{};
  if (syscall(SYS_sched_getattr, 0, &attributes, sizeof attributes, 0) == 0) {
    attributes.runtime_ns = kSliceNs;
    syscall(SYS_sched_setattr, 0, &attributes, 0);
  }
  // The thread that started this one may be pinned to the very core that is to be watched.
  constexpr size_t kMaxCpus = 8192;
  cpu_set_t* set = CPU_ALLOC(kMaxCpus);
  if (set == nullptr) return;
  const size_t size = CPU_ALLOC_SIZE(kMaxCpus);
  if (sched_getaffinity(getpid(), size, set) == 0) sched_setaffinity(0, size, set);
  CPU_FREE(set);
}

void* Main(void*) {
  SetUpThread();
  State& self = state();
  int64_t active_ns = NowNs();
  int64_t long_turn_ns = active_ns;
  while (Load(&self.stop) == 0) {
    Pace pace;
    const int64_t now_ns = NowNs();
    {
      std::lock_guard lock(self.mutex);
      const bool calm = now_ns - long_turn_ns >= kCalmAfterNs;
      for (Watched* watched : self.watched) Look(*watched, now_ns, calm, pace);
    }
    if (pace.active) active_ns = now_ns;
    if (!pace.calm) long_turn_ns = now_ns;
    if (now_ns - active_ns >= kDormantAfterNs) {
      GoDormant(self);
    } else {
      FutexWait(&self.stop, 0, std::max(pace.wait_ns, kMinIntervalNs));
    }
  }
  return nullptr;
}

}  // namespace

void WakeUp() {
  if (__atomic_exchange_n(&dormant, 0, __ATOMIC_SEQ_CST) != 0) FutexWake(&dormant);
}

Watched* Watch(napi_env env, int32_t* control, int ring_fd) {
  State& self = state();
  auto* watched = new Watched{control, Load(control + kControlTurn), stall::Detector(env, control, ring_fd)};
  std::lock_guard life(self.life);
  {
    std::lock_guard lock(self.mutex);
    self.watched.push_back(watched);
  }
  if (self.running) {
    WakeUp();
    return watched;
  }
  self.stop = 0;
  // Signals are for Node's own threads.
  sigset_t all;
  sigset_t before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  // Without the thread everything runs as before, except that no turn is told to end.
  self.running = pthread_create(&self.thread, nullptr, Main, nullptr) == 0;
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  return watched;
}

void DetectStalls(Watched* watched, int64_t threshold_ns, int32_t reports_per_minute) {
  std::lock_guard lock(state().mutex);
  watched->detector.Configure(threshold_ns, reports_per_minute);
}

void Unwatch(Watched* watched) {
  State& self = state();
  std::lock_guard life(self.life);
  bool last = false;
  {
    std::lock_guard lock(self.mutex);
    std::erase(self.watched, watched);
    last = self.watched.empty();
  }
  watched->detector.Stop();
  delete watched;
  if (!last || !self.running) return;
  __atomic_store_n(&self.stop, 1, __ATOMIC_SEQ_CST);
  FutexWake(&self.stop);
  WakeUp();
  // The addon may be unloaded together with the environment that goes away here.
  pthread_join(self.thread, nullptr);
  self.running = false;
}

}  // namespace sunstar::monitor
