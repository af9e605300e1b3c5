// One thread that looks at every ring loop of the process from outside. A JavaScript thread cannot
// look at a clock while a callback of its own runs, so somebody else must: the monitor raises
// kControlPreempt once a turn has used up its quota, and notices stalls (stall.h).
#pragma once

#include <napi.h>

#include <cstdint>

namespace sunstar::monitor {

struct Watched;

// The thread starts with the first loop and has ended when Unwatch of the last one returns.
// Both on the loop's own thread; `control` must stay valid until Unwatch returns.
Watched* Watch(napi_env env, int32_t* control, int ring_fd);
void Unwatch(Watched* watched);

// Reports turns that last longer than the threshold, see stall.h; 0 switches that off.
void DetectStalls(Watched* watched, int64_t threshold_ns, int32_t reports_per_minute);

// The monitor sleeps for good while every loop is asleep. A loop calls Rouse when it wakes, after
// it has cleared kControlAsleep.
extern int32_t dormant;
void WakeUp();
inline void Rouse() {
  // No barrier: the monitor makes one for all threads before it goes dormant (membarrier).
  asm volatile("" ::: "memory");
  if (__atomic_load_n(&dormant, __ATOMIC_RELAXED) != 0) [[unlikely]] WakeUp();
}

}  // namespace sunstar::monitor
