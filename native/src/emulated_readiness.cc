#include "emulated_readiness.h"

#include <poll.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>

#include <ctime>

namespace sunstar {
namespace {

constexpr int64_t kNsPerSecond = 1'000'000'000;
constexpr long kSysEpollPwait2 = 441;

timespec ToTimespec(int64_t ns) { return {static_cast<time_t>(ns / kNsPerSecond), static_cast<long>(ns % kNsPerSecond)}; }

}  // namespace

int ReadinessSet::Open() {
  epoll_ = epoll_create1(EPOLL_CLOEXEC);
  if (epoll_ < 0) return -errno;
  wake_ = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  epoll_event event{};
  // Edge-triggered: every write is an event, and nobody has to read the count.
  event.events = EPOLLIN | EPOLLET;
  event.data.fd = wake_;
  if (wake_ >= 0 && epoll_ctl(epoll_, EPOLL_CTL_ADD, wake_, &event) == 0) return 0;
  const int error = -errno;
  Close();
  return error;
}

void ReadinessSet::Close() {
  if (epoll_ >= 0) close(epoll_);
  if (wake_ >= 0) close(wake_);
  epoll_ = wake_ = -1;
  descriptors_.clear();
}

WatchedDescriptor& ReadinessSet::At(int fd) {
  auto& place = descriptors_[fd];
  if (place == nullptr) {
    place = std::make_unique<WatchedDescriptor>();
    place->fd = fd;
  }
  return *place;
}

int ReadinessSet::Arm(WatchedDescriptor& descriptor, uint32_t events) {
  const bool has_waiters =
      !descriptor.input.IsEmpty() || !descriptor.output.IsEmpty() || !descriptor.polls.IsEmpty();
  epoll_event event{};
  event.events = EPOLLET | events | (has_waiters ? descriptor.events : 0);
  event.data.fd = descriptor.fd;
  int result = epoll_ctl(epoll_, descriptor.is_registered ? EPOLL_CTL_MOD : EPOLL_CTL_ADD, descriptor.fd, &event);
  // The number is another file's now, or it was given to somebody and came back.
  if (result != 0 && errno == ENOENT) result = epoll_ctl(epoll_, EPOLL_CTL_ADD, descriptor.fd, &event);
  else if (result != 0 && errno == EEXIST) result = epoll_ctl(epoll_, EPOLL_CTL_MOD, descriptor.fd, &event);
  if (result != 0) return -errno;
  descriptor.is_registered = true;
  descriptor.events = event.events;
  return 0;
}

void ReadinessSet::Forget(WatchedDescriptor& descriptor) {
  // Closing removes the registration only if there is no duplicate of the descriptor.
  epoll_event event{};
  if (descriptor.is_registered) epoll_ctl(epoll_, EPOLL_CTL_DEL, descriptor.fd, &event);
  descriptors_.erase(descriptor.fd);
}

int ReadinessSet::EpollWait(epoll_event* events, int64_t timeout_ns) {
  if (timeout_ns <= 0) return epoll_wait(epoll_, events, kMaxEvents, timeout_ns < 0 ? -1 : 0);
  const timespec timeout = ToTimespec(timeout_ns);
  if (has_fine_wait_) {
    const long count = syscall(kSysEpollPwait2, epoll_, events, kMaxEvents, &timeout, nullptr, 0);
    if (count >= 0 || (errno != ENOSYS && errno != EPERM)) return static_cast<int>(count);
    // A seccomp filter that is older than the call.
    has_fine_wait_ = false;
  }
  pollfd set{epoll_, POLLIN, 0};
  const int ready = ppoll(&set, 1, &timeout, nullptr);
  return ready <= 0 ? ready : epoll_wait(epoll_, events, kMaxEvents, 0);
}

int ReadinessSet::Wait(epoll_event* events, int64_t timeout_ns) {
  int count = EpollWait(events, timeout_ns);
  if (count < 0) return -errno;
  for (int i = 0; i < count; i++) {
    if (events[i].data.fd != wake_) continue;
    events[i] = events[--count];
    break;
  }
  return count;
}

void ReadinessSet::Announce() {
  is_asleep_.store(true, std::memory_order_seq_cst);
  std::atomic_thread_fence(std::memory_order_seq_cst);
}

void ReadinessSet::Wake() {
  // What there is to see was published before this.
  std::atomic_thread_fence(std::memory_order_seq_cst);
  if (!is_asleep_.exchange(false, std::memory_order_seq_cst)) return;
  const uint64_t one = 1;
  // Fails only when the count is full, which needs no more events.
  [[maybe_unused]] const ssize_t written = write(wake_, &one, sizeof one);
}

}  // namespace sunstar
