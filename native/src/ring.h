// Submission and completion queues in mapped memory, with io_uring's layout, and a teardown that waits
// until every operation has ended. What is submitted, and what a completion means, is decided in
// TypeScript. Who serves the queues is one of two: the kernel (kernel_ring.h), or where that is forbidden
// or too old a user-space emulation (emulated_ring.h).
#pragma once

#include <sys/uio.h>

#include <cstddef>
#include <cstdint>
#include <map>

#include "uring_compat.h"

namespace sunstar {

// The upper half of a submission's user data: what native code must know at teardown. The lower
// half is TypeScript's operation id.
constexpr uint32_t kTagDescriptor = 1;  // a result >= 0 is a new descriptor
constexpr uint32_t kTagWake = 2;        // posted by another ring (MSG_RING): not one of ours
constexpr uint32_t kTagAtOnce = 4;      // over when the kernel has taken it; completes only if it failed

// Words of the control block that this thread's native and TypeScript halves share.
enum ControlWord : uint32_t {
  kControlMore = 0,          // tick wants to run again before the thread sleeps
  kControlIdlePollUs = 1,    // how long to poll before sleeping
  kControlLibuvReady = 2,    // the completion of the poll on libuv's backend fd was reaped
  kControlLibuvArmed = 3,    // such a poll is in flight
  kControlCqHead = 4,        // completions taken by TypeScript, before it runs their callbacks
  kControlFinals = 5,        // of these, how many ended their operation
  kControlTicks = 6,         // statistics, wrapping
  kControlSleeps = 7,
  kControlEnters = 8,
  kControlNowMs = 10,        // two words: the monotonic clock as a double, read when a turn begins
  kControlTurn = 12,         // incremented at each start of JavaScript by the loop, and when it hands over to libuv
  kControlPreempt = 13,      // the running turn has used up its quota; cleared when the next one starts
  kControlAsleep = 14,       // the thread sleeps, or polls because it has nothing to do
  kControlGroup = 15,        // the scheduling group that runs, written by TypeScript; 0 outside of the loop
  kControlQuotaUs = 16,      // how long a turn may last before kControlPreempt
  kControlGrouped = 17,      // turns have to be measured, for there are groups to share the time
  kControlTurnMs = 18,       // two words: how long the last turn took, as a double
  kControlOutsideMs = 20,    // two words: time that libuv and its callbacks took in all, as a double
  kControlIdleMs = 22,       // two words: how long the thread has been asleep in all, as a double
  kControlAtOnce = 24,       // operations that are over at once whose result TypeScript has not looked at
  kControlWords = 32,
};

constexpr int32_t kDefaultQuotaUs = 500;

class Ring {
 public:
  // How many operation codes a probe tells about.
  static constexpr uint32_t kOperationCodes = 256;

  Ring() = default;
  Ring(const Ring&) = delete;
  Ring& operator=(const Ring&) = delete;
  virtual ~Ring() = default;

  // Returns 0 or a negative error number.
  virtual int Setup(uint32_t entries, uint32_t cq_entries) = 0;
  // Waits for every operation in flight (cancelling what can be cancelled), closes the ring and
  // every descriptor that is marked as owned, and unmaps all memory.
  void Teardown();

  // Submits, collects completions, and waits for some; returns how many entries were submitted.
  virtual int Enter(uint32_t to_submit, uint32_t min_complete) = 0;
  // Like Enter with min_complete 1 and a limit, which ends it with -ETIME; timeout_ms < 0 waits for ever. Returns 0.
  virtual int EnterAndWait(uint32_t to_submit, int timeout_ms) = 0;
  // One byte for each of kOperationCodes: 1 where it is served.
  virtual int Probe(uint8_t* supported) const = 0;
  virtual int RegisterBuffers(const iovec* buffers, uint32_t count) = 0;
  // A table of descriptors, −1 for free places, and a change of one of them.
  virtual int RegisterFiles(const int32_t* descriptors, uint32_t count) = 0;
  virtual int UpdateRegisteredFile(uint32_t slot, int32_t descriptor) = 0;
  // The memory of a new provided-buffer ring, or nullptr with *error set. The buffers of an incremental one are used
  // up bit by bit (since Linux 6.12; before, -EINVAL).
  void* RegisterBufferRing(uint16_t group, uint32_t entries, bool is_incremental, int* error);
  virtual int UnregisterBufferRing(uint16_t group) = 0;

  uint32_t Unsubmitted() const { return *Word(params_.sq_off.tail) - LoadAcquire(Word(params_.sq_off.head)); }
  bool HasCompletions() const {
    return LoadAcquire(Word(params_.cq_off.tail)) != static_cast<uint32_t>(control_[kControlCqHead]);
  }
  // There is work or there are completions that only an enter brings to the queue.
  bool NeedsEnter() const {
    return (LoadAcquire(Word(params_.sq_off.flags)) & (IORING_SQ_TASKRUN | IORING_SQ_CQ_OVERFLOW)) != 0;
  }

  // Names the ring to the other threads of the process.
  virtual int fd() const = 0;
  const io_uring_params& params() const { return params_; }
  char* memory() const { return memory_; }
  size_t memory_size() const { return memory_size_; }
  char* entries() const { return entries_; }
  size_t entries_size() const { return params_.sq_entries * sizeof(io_uring_sqe); }
  int32_t* control() const { return control_; }
  uint8_t* descriptors() const { return descriptors_; }
  size_t descriptors_size() const { return descriptors_size_; }
  uint8_t* zero_copy() const { return zero_copy_; }

 protected:
  // Whether the end of the ring waits for the operation.
  static bool IsCounted(uint64_t user_data) { return (static_cast<uint32_t>(user_data >> 32) & kTagAtOnce) == 0; }
  static uint32_t LoadAcquire(const uint32_t* word) { return __atomic_load_n(word, __ATOMIC_ACQUIRE); }
  static void* MapAnonymous(size_t size);

  uint32_t* Word(uint32_t offset) const { return reinterpret_cast<uint32_t*>(memory_ + offset); }
  // The memory besides the queues.
  int MapControl();
  virtual int AddBufferRing(uint16_t group, uint32_t entries, void* memory, bool is_incremental) = 0;
  virtual void CancelAll() = 0;
  // Nothing is in flight any more: lets go of everything but the memory.
  virtual void Close() = 0;

  io_uring_params params_{};
  char* memory_ = nullptr;
  size_t memory_size_ = 0;
  char* entries_ = nullptr;
  int32_t* control_ = nullptr;
  uint32_t submitted_ = 0;  // wraps, like the finals it is compared with

 private:
  struct BufferRing {
    void* memory;
    size_t size;
  };

  void OwnUnsubmittedCloses();
  // Takes what is in the completion queue; returns how many operations ended.
  uint32_t DiscardCompletions();
  void CloseDescriptors();

  uint8_t* descriptors_ = nullptr;  // one bit for each descriptor number that this thread owns
  size_t descriptors_size_ = 0;
  uint8_t* zero_copy_ = nullptr;  // one bit for each of them whose zero-copy sends the kernel may still read
  std::map<uint16_t, BufferRing> buffer_rings_;
};

}  // namespace sunstar
