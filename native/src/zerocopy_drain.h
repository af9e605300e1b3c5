// The end of a thread with zero-copy sends in flight: the kernel still reads their memory.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace sunstar {

// Ends the output of the marked sockets, gives their peers some time to take what was sent, and then disconnects
// those that have not: the kernel lets go of the memory at once, and closing the ring loses no notification.
class ZeroCopyDrain {
 public:
  // `marks`: one bit for each descriptor number.
  ZeroCopyDrain(const uint8_t* marks, size_t size);

  // To be called about every kRoundMs. True while a socket has output that its peer has not acknowledged and that
  // was not given up yet.
  bool Continue();

  static constexpr int kRoundMs = 10;

 private:
  std::vector<int> sockets_;
  int64_t deadline_ms_;
};

}  // namespace sunstar
