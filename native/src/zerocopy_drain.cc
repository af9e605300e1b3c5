#include "zerocopy_drain.h"

#include <linux/sockios.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <time.h>

#include <cerrno>

namespace sunstar {
namespace {

// How long peers have when a thread or process ends: its end waits for them.
constexpr int64_t kGraceMs = 1000;

int64_t NowMs() {
  timespec now{};
  clock_gettime(CLOCK_MONOTONIC, &now);
  return now.tv_sec * int64_t{1000} + now.tv_nsec / 1'000'000;
}

bool IsAcknowledged(int fd) {
  int bytes = 0;
  return ioctl(fd, SIOCOUTQ, &bytes) != 0 || bytes == 0;
}

void Disconnect(int fd) {
  sockaddr address{};
  address.sa_family = AF_UNSPEC;
  connect(fd, &address, sizeof address);
}

}  // namespace

ZeroCopyDrain::ZeroCopyDrain(const uint8_t* marks, size_t size) : deadline_ms_(NowMs() + kGraceMs) {
  for (size_t byte = 0; byte < size; byte++) {
    for (int bit = 0; marks[byte] >> bit != 0; bit++) {
      if ((marks[byte] & (1u << bit)) == 0) continue;
      const int fd = static_cast<int>(byte * 8 + bit);
      sockets_.push_back(fd);
      shutdown(fd, SHUT_WR);
    }
  }
}

bool ZeroCopyDrain::Continue() {
  std::erase_if(sockets_, IsAcknowledged);
  if (NowMs() >= deadline_ms_) {
    for (int fd : sockets_) Disconnect(fd);
    sockets_.clear();
  }
  return !sockets_.empty();
}

}  // namespace sunstar
