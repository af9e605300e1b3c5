// Stalls: turns that last so long that everything else on their thread waits noticeably. The
// monitor's thread notices one while it goes on and asks the thread for its JavaScript stack; what
// is found out goes to the listeners of other threads at once.
#pragma once

#include <napi.h>
#include <pthread.h>

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>

namespace sunstar::stall {

struct Request;

// One loop's detector. Everything but Stop and the constructor is called by the monitor's thread,
// and never while one of those two runs.
class Detector {
 public:
  // On the loop's own thread.
  Detector(napi_env env, const int32_t* control, int ring_fd);
  // On the loop's own thread, before its memory goes.
  void Stop();

  // threshold_ns 0 switches it off. Of the turn that calls this, what has been does not count.
  void Configure(int64_t threshold_ns, int32_t reports_per_minute);
  // What the monitor sees: the same turn as at the last look, or the first one of a new turn.
  void SameTurn(int32_t turn, int64_t began_ns, int64_t now_ns);
  void TurnEnded(int64_t ended_ns);

 private:
  int64_t CpuNs() const;
  bool IsStarved() const;
  void Begin(int32_t turn, int64_t now_ns);
  bool TakeToken(int64_t now_ns);
  void Ask(int32_t turn, int64_t now_ns);

  napi_env env_;
  const int32_t* control_;
  int ring_fd_;
  void* isolate_;
  clockid_t cpu_clock_{};
  bool has_cpu_clock_;
  std::string status_path_;

  int64_t threshold_ns_ = 0;
  int32_t reports_per_minute_ = 0;
  double tokens_ = 0;
  int64_t refilled_ns_ = 0;
  int64_t configured_ns_ = 0;

  // The turn that is being looked at.
  int64_t began_ns_ = 0;
  int64_t first_look_ns_ = 0;
  int64_t first_look_cpu_ns_ = 0;
  int64_t next_report_ns_ = 0;
  bool looking_ = false;
  bool stalled_ = false;
  std::shared_ptr<Request> request_;
  // Shared with what the thread was asked: false once its environment goes away.
  std::shared_ptr<std::atomic<bool>> alive_ = std::make_shared<std::atomic<bool>>(true);
};

}  // namespace sunstar::stall
