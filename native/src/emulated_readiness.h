// Who waits for which descriptor of an emulated ring, over one epoll set.
//
// Registrations are edge-triggered and made anew whenever somebody begins to wait. That costs a system
// call, but a registration can go stale unseen: descriptors are closed and their numbers used again by
// Node or by another thread, and a duplicate of a closed descriptor keeps its registration alive. An edge
// that is too many costs a look; one that is missed would cost the operation.
#pragma once

#include <sys/epoll.h>

#include <atomic>
#include <cstdint>
#include <memory>
#include <unordered_map>

#include "emulated_operation.h"

namespace sunstar {

struct WatchedDescriptor {
  int fd = -1;
  uint32_t events = 0;  // what is registered
  bool is_registered = false;
  bool must_continue = false;  // a multishot operation has stopped before it found nothing
  OperationList input;
  OperationList output;
  OperationList polls;
  // Calls on it that the pool has, and the close that waits for their end.
  uint32_t calls = 0;
  Operation* closing = nullptr;
};

class ReadinessSet {
 public:
  static constexpr int kMaxEvents = 256;

  int Open();
  void Close();
  // The set's own descriptor.
  int fd() const { return epoll_; }

  WatchedDescriptor* Find(int fd) {
    const auto found = descriptors_.find(fd);
    return found == descriptors_.end() ? nullptr : found->second.get();
  }
  WatchedDescriptor& At(int fd);
  // Has events reported from now on, and at once if they have happened: 0, or an error number; -EPERM for what is
  // always ready.
  int Arm(WatchedDescriptor& descriptor, uint32_t events);
  // Before the descriptor is closed; nobody may wait.
  void Forget(WatchedDescriptor& descriptor);

  // Waits; timeout_ns < 0 is for ever, 0 not at all. Events of the wake-up itself are not returned.
  int Wait(epoll_event* events, int64_t timeout_ns);
  // From any thread: ends a Wait that has announced itself.
  void Wake();
  // Around everything that is looked at before a Wait that may sleep.
  void Announce();
  void Retract() { is_asleep_.store(false, std::memory_order_relaxed); }

 private:
  int EpollWait(epoll_event* events, int64_t timeout_ns);

  int epoll_ = -1;
  int wake_ = -1;
  bool has_fine_wait_ = true;
  std::atomic<bool> is_asleep_{false};
  std::unordered_map<int, std::unique_ptr<WatchedDescriptor>> descriptors_;
};

}  // namespace sunstar
