#include "ring.h"

#include "zerocopy_drain.h"

#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>

namespace sunstar {
namespace {

constexpr size_t kMaxDescriptors = size_t{1} << 24;
constexpr int kTeardownRoundMs = 1000;
constexpr int kSilentRoundsBeforeWarning = 5;

size_t DescriptorLimit() {
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return kMaxDescriptors;
  return std::min<size_t>(limit.rlim_max, kMaxDescriptors);
}

}  // namespace

void* Ring::MapAnonymous(size_t size) {
  void* memory = mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  return memory == MAP_FAILED ? nullptr : memory;
}

int Ring::MapControl() {
  descriptors_size_ = (DescriptorLimit() + 7) / 8;
  control_ = static_cast<int32_t*>(MapAnonymous(kControlWords * sizeof(int32_t)));
  descriptors_ = static_cast<uint8_t*>(MapAnonymous(descriptors_size_));
  zero_copy_ = static_cast<uint8_t*>(MapAnonymous(descriptors_size_));
  if (control_ == nullptr || descriptors_ == nullptr || zero_copy_ == nullptr) return -ENOMEM;
  control_[kControlQuotaUs] = kDefaultQuotaUs;
  return 0;
}

void* Ring::RegisterBufferRing(uint16_t group, uint32_t entries, bool is_incremental, int* error) {
  const size_t size = entries * sizeof(ProvidedBuffer);
  void* memory = MapAnonymous(size);
  if (memory == nullptr) {
    *error = -ENOMEM;
    return nullptr;
  }
  *error = AddBufferRing(group, entries, memory, is_incremental);
  if (*error < 0) {
    munmap(memory, size);
    return nullptr;
  }
  // Stays mapped until teardown, even when it is unregistered: TypeScript may still hold a view of it.
  buffer_rings_[group] = {memory, size};
  return memory;
}

void Ring::OwnUnsubmittedCloses() {
  const uint32_t tail = *Word(params_.sq_off.tail);
  const uint32_t mask = params_.sq_entries - 1;
  for (uint32_t head = LoadAcquire(Word(params_.sq_off.head)); head != tail; head++) {
    const auto* entry = reinterpret_cast<const io_uring_sqe*>(entries_) + (head & mask);
    const size_t fd = static_cast<size_t>(entry->fd);
    if (entry->opcode == IORING_OP_CLOSE && fd / 8 < descriptors_size_) {
      descriptors_[fd / 8] |= 1u << (fd % 8);
    }
  }
}

uint32_t Ring::DiscardCompletions() {
  uint32_t ended = 0;
  auto head = static_cast<uint32_t>(control_[kControlCqHead]);
  const uint32_t tail = LoadAcquire(Word(params_.cq_off.tail));
  const uint32_t mask = params_.cq_entries - 1;
  const auto* completions = reinterpret_cast<const io_uring_cqe*>(memory_ + params_.cq_off.cqes);
  for (; head != tail; head++) {
    const io_uring_cqe& completion = completions[head & mask];
    const auto tag = static_cast<uint32_t>(completion.user_data >> 32);
    if ((tag & (kTagWake | kTagAtOnce)) != 0) continue;
    if ((completion.flags & IORING_CQE_F_MORE) == 0) ended++;
    const auto fd = static_cast<size_t>(completion.res);
    if ((tag & kTagDescriptor) != 0 && completion.res >= 0 && fd / 8 < descriptors_size_) {
      descriptors_[fd / 8] |= 1u << (fd % 8);
    }
  }
  control_[kControlCqHead] = static_cast<int32_t>(head);
  __atomic_store_n(Word(params_.cq_off.head), head, __ATOMIC_RELEASE);
  return ended;
}

void Ring::CloseDescriptors() {
  for (size_t byte = 0; byte < descriptors_size_; byte++) {
    for (int bit = 0; descriptors_[byte] != 0; bit++) {
      if ((descriptors_[byte] & (1u << bit)) == 0) continue;
      descriptors_[byte] &= static_cast<uint8_t>(~(1u << bit));
      close(static_cast<int>(byte * 8 + bit));
    }
  }
}

void Ring::Teardown() {
  if (memory_ == nullptr) return;
  OwnUnsubmittedCloses();
  auto ended = static_cast<uint32_t>(control_[kControlFinals]) + DiscardCompletions();
  ZeroCopyDrain drain(zero_copy_, descriptors_size_);
  bool is_draining = drain.Continue();
  int silent_rounds = 0;
  while (submitted_ != ended || is_draining) {
    CancelAll();
    ended += DiscardCompletions();
    is_draining = is_draining && drain.Continue();
    if (submitted_ == ended && !is_draining) break;
    // Nothing may be freed that is still written to: this waits as long as it takes.
    const int result = EnterAndWait(0, is_draining ? ZeroCopyDrain::kRoundMs : kTeardownRoundMs);
    ended += DiscardCompletions();
    if (is_draining) continue;
    if (result == -ETIME && ++silent_rounds == kSilentRoundsBeforeWarning) {
      fprintf(stderr, "sunstar: a thread cannot end yet: %u of its operations have not finished\n",
              submitted_ - ended);
    }
  }
  Close();
  CloseDescriptors();
  munmap(entries_, entries_size());
  munmap(memory_, memory_size_);
  memory_ = nullptr;
  munmap(control_, kControlWords * sizeof(int32_t));
  munmap(descriptors_, descriptors_size_);
  munmap(zero_copy_, descriptors_size_);
  for (auto& [group, ring] : buffer_rings_) munmap(ring.memory, ring.size);
  buffer_rings_.clear();
}

}  // namespace sunstar
