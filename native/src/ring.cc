#include "ring.h"

#include "zerocopy_drain.h"

#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>

namespace sunstar {
namespace {

constexpr size_t kMaxDescriptors = size_t{1} << 24;
constexpr int kTeardownRoundMs = 1000;
constexpr int kSilentRoundsBeforeWarning = 5;

uint32_t LoadAcquire(const uint32_t* word) { return __atomic_load_n(word, __ATOMIC_ACQUIRE); }

void* MapAnonymous(size_t size) {
  void* memory = mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  return memory == MAP_FAILED ? nullptr : memory;
}

size_t DescriptorLimit() {
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return kMaxDescriptors;
  return std::min<size_t>(limit.rlim_max, kMaxDescriptors);
}

}  // namespace

int Ring::Setup(uint32_t entries, uint32_t cq_entries) {
  constexpr uint32_t kBase = IORING_SETUP_CQSIZE | IORING_SETUP_CLAMP;
  constexpr uint32_t kCooperative =
      IORING_SETUP_SUBMIT_ALL | IORING_SETUP_COOP_TASKRUN | IORING_SETUP_TASKRUN_FLAG;
  const uint32_t candidates[] = {
      kBase | IORING_SETUP_SUBMIT_ALL | IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN |
          IORING_SETUP_TASKRUN_FLAG,              // 6.1
      kBase | kCooperative | IORING_SETUP_SINGLE_ISSUER,  // 6.0
      kBase | kCooperative,                       // 5.19
      kBase,
  };
  for (uint32_t flags : candidates) {
    params_ = {};
    params_.flags = flags;
    params_.cq_entries = cq_entries;
    fd_ = static_cast<int>(syscall(SYS_io_uring_setup, entries, &params_));
    if (fd_ >= 0 || errno != EINVAL) break;
  }
  if (fd_ < 0) return -errno;
  const int error = Map();
  if (error != 0) {
    close(fd_);
    fd_ = -1;
  }
  return error;
}

int Ring::Map() {
  const size_t sq_size = params_.sq_off.array + params_.sq_entries * sizeof(uint32_t);
  const size_t cq_size = params_.cq_off.cqes + params_.cq_entries * sizeof(io_uring_cqe);
  memory_size_ = std::max(sq_size, cq_size);
  void* memory = mmap(nullptr, memory_size_, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, fd_,
                      IORING_OFF_SQ_RING);
  if (memory == MAP_FAILED) return -errno;
  memory_ = static_cast<char*>(memory);
  void* entries = mmap(nullptr, entries_size(), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE,
                       fd_, IORING_OFF_SQES);
  if (entries == MAP_FAILED) {
    const int error = -errno;
    munmap(memory_, memory_size_);
    return error;
  }
  entries_ = static_cast<char*>(entries);

  descriptors_size_ = (DescriptorLimit() + 7) / 8;
  control_ = static_cast<int32_t*>(MapAnonymous(kControlWords * sizeof(int32_t)));
  descriptors_ = static_cast<uint8_t*>(MapAnonymous(descriptors_size_));
  zero_copy_ = static_cast<uint8_t*>(MapAnonymous(descriptors_size_));
  if (control_ == nullptr || descriptors_ == nullptr || zero_copy_ == nullptr) return -ENOMEM;
  control_[kControlQuotaUs] = kDefaultQuotaUs;

  // Entry i of the queue is always entry i of the array: TypeScript never touches the indirection.
  uint32_t* array = Word(params_.sq_off.array);
  for (uint32_t i = 0; i < params_.sq_entries; i++) array[i] = i;
  return 0;
}

int Ring::Enter(uint32_t to_submit, uint32_t min_complete, uint32_t flags) {
  control_[kControlEnters]++;
  const uint32_t head = LoadAcquire(Word(params_.sq_off.head));
  const long result = syscall(SYS_io_uring_enter, fd_, to_submit, min_complete, flags, nullptr, 0);
  const int error = result < 0 ? -errno : 0;
  Took(head);
  return error != 0 ? error : static_cast<int>(result);
}

int Ring::EnterAndWait(uint32_t to_submit, int timeout_ms) {
  __kernel_timespec limit{timeout_ms / 1000, (timeout_ms % 1000) * 1'000'000LL};
  io_uring_getevents_arg argument{};
  if (timeout_ms >= 0) argument.ts = reinterpret_cast<uint64_t>(&limit);
  control_[kControlEnters]++;
  const uint32_t head = LoadAcquire(Word(params_.sq_off.head));
  const long result = syscall(SYS_io_uring_enter, fd_, to_submit, 1,
                              IORING_ENTER_GETEVENTS | IORING_ENTER_EXT_ARG, &argument, sizeof argument);
  const int error = result < 0 ? -errno : 0;
  Took(head);
  return error;
}

// A wait that ends in an error hides how many entries were taken; the queue itself tells.
void Ring::Took(uint32_t head) {
  const uint32_t end = LoadAcquire(Word(params_.sq_off.head));
  const uint32_t mask = params_.sq_entries - 1;
  const auto* entries = reinterpret_cast<const io_uring_sqe*>(entries_);
  for (; head != end; head++) {
    if ((static_cast<uint32_t>(entries[head & mask].user_data >> 32) & kTagAtOnce) == 0) submitted_++;
  }
}

int Ring::Register(uint32_t opcode, void* argument, uint32_t count) const {
  const long result = syscall(SYS_io_uring_register, fd_, opcode, argument, count);
  return result < 0 ? -errno : static_cast<int>(result);
}

void* Ring::RegisterBufferRing(uint16_t group, uint32_t entries, int* error) {
  const size_t size = entries * sizeof(io_uring_buf);
  void* memory = MapAnonymous(size);
  if (memory == nullptr) {
    *error = -ENOMEM;
    return nullptr;
  }
  io_uring_buf_reg registration{};
  registration.ring_addr = reinterpret_cast<uint64_t>(memory);
  registration.ring_entries = entries;
  registration.bgid = group;
  *error = Register(IORING_REGISTER_PBUF_RING, &registration, 1);
  if (*error < 0) {
    munmap(memory, size);
    return nullptr;
  }
  buffer_rings_[group] = {memory, size};
  return memory;
}

int Ring::UnregisterBufferRing(uint16_t group) {
  // The memory stays mapped until teardown: TypeScript may still hold a view of it.
  io_uring_buf_reg registration{};
  registration.bgid = group;
  return Register(IORING_UNREGISTER_PBUF_RING, &registration, 1);
}

uint32_t Ring::Unsubmitted() const {
  return *Word(params_.sq_off.tail) - LoadAcquire(Word(params_.sq_off.head));
}

bool Ring::HasCompletions() const {
  return LoadAcquire(Word(params_.cq_off.tail)) != static_cast<uint32_t>(control_[kControlCqHead]);
}

bool Ring::NeedsEnter() const {
  return (LoadAcquire(Word(params_.sq_off.flags)) & (IORING_SQ_TASKRUN | IORING_SQ_CQ_OVERFLOW)) != 0;
}

void Ring::CancelAll() const {
  io_uring_sync_cancel_reg request{};
  request.fd = -1;
  request.flags = IORING_ASYNC_CANCEL_ANY | IORING_ASYNC_CANCEL_ALL;
  request.timeout.tv_nsec = 50'000'000;
  // -ENOENT: nothing to cancel; -ETIME: the rounds of Teardown go on; -EINVAL before 6.0: the
  // operations are waited for.
  Register(IORING_REGISTER_SYNC_CANCEL, &request, 1);
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
  if (fd_ < 0) return;
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
    // Nothing may be freed that the kernel can still use: this waits as long as it takes.
    const int result = EnterAndWait(0, is_draining ? ZeroCopyDrain::kRoundMs : kTeardownRoundMs);
    ended += DiscardCompletions();
    if (is_draining) continue;
    if (result == -ETIME && ++silent_rounds == kSilentRoundsBeforeWarning) {
      fprintf(stderr, "sunstar: a thread cannot end yet: the kernel has not finished %u of its operations\n",
              submitted_ - ended);
    }
  }
  close(fd_);
  fd_ = -1;
  CloseDescriptors();
  munmap(entries_, entries_size());
  munmap(memory_, memory_size_);
  munmap(control_, kControlWords * sizeof(int32_t));
  munmap(descriptors_, descriptors_size_);
  munmap(zero_copy_, descriptors_size_);
  for (auto& [group, ring] : buffer_rings_) munmap(ring.memory, ring.size);
  buffer_rings_.clear();
}

}  // namespace sunstar
