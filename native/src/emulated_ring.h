// The queues of an io_uring instance served in user space, for hosts that forbid io_uring (Docker's default
// seccomp profile does) and kernels that lack what sunstar needs of it.
//
// Everything happens on the ring's own thread, inside Enter: what can be done at once is done when it is
// submitted, sockets wait in an epoll set, calls that block go to a pool of threads. Results of the pool and
// messages of other rings are collected at the next Enter, like the work that a kernel with
// IORING_SETUP_DEFER_TASKRUN defers; the flag IORING_SQ_TASKRUN, which asks for that, is always set.
#pragma once

#include <deque>
#include <mutex>
#include <vector>

#include "emulated_buffers.h"
#include "emulated_operation.h"
#include "emulated_pool.h"
#include "emulated_readiness.h"
#include "emulated_timers.h"
#include "ring.h"

namespace sunstar {

class EmulatedRing final : public Ring {
 public:
  EmulatedRing();

  int Setup(uint32_t entries, uint32_t cq_entries) override;
  int Enter(uint32_t to_submit, uint32_t min_complete) override;
  int EnterAndWait(uint32_t to_submit, int timeout_ms) override;
  int Probe(uint8_t* supported) const override;
  int RegisterBuffers(const iovec* buffers, uint32_t count) override;
  int RegisterFiles(const int32_t* descriptors, uint32_t count) override;
  int UpdateRegisteredFile(uint32_t slot, int32_t descriptor) override;
  int UnregisterBufferRing(uint16_t group) override;
  int fd() const override { return readiness_.fd(); }

  // From any thread, while the ring is in the directory: posts a completion. 0 or a negative error number.
  int Deliver(uint64_t user_data, int32_t result);

 private:
  struct Message {
    uint64_t user_data;
    int32_t result;
  };

  int AddBufferRing(uint16_t group, uint32_t entries, void* memory, bool is_incremental) override;
  void CancelAll() override;
  void Close() override;

  // emulated_ring.cc: queues, waiting, collecting.
  uint32_t Submit(uint32_t count);
  void Collect();
  int Wait(uint32_t min_complete, int64_t timeout_ns);
  uint32_t Untaken() const;
  bool HasRoom() const;
  bool HasPosted() const;
  void Post(uint64_t user_data, int32_t result, uint32_t flags);
  void Write(const io_uring_cqe& completion);
  void FlushOverflow();
  void TakeEnded();
  void TakeMessages();
  void ExpireTimers();
  void HandleEvents(int count);

  // emulated_start.cc: from an entry to its result, links, cancellation.
  void StartChain(Operation* head);
  void RunStarting();
  void Start(Operation* operation);
  void StartBlocking(Operation* operation);
  void StartClose(Operation* operation);
  void CloseNow(Operation* operation);
  void StartTimeout(Operation* operation);
  int32_t Cancel(Operation* operation);
  int32_t CancelMatching(const io_uring_sqe& entry);
  int32_t SendMessage(const io_uring_sqe& entry);
  void Finish(Operation* operation, int32_t result, uint32_t flags = 0);
  void FailChain(Operation* head);
  void Detach(Operation* operation);

  // emulated_wait.cc: operations that wait for their descriptors.
  void StartOnDescriptor(Operation* operation);
  void StartPoll(Operation* operation);
  // True when the operation has ended.
  bool Attempt(Operation* operation, bool is_exhaustive);
  bool AttemptAccepts(Operation* operation);
  bool AttemptBuffers(Operation* operation, bool is_exhaustive);
  void Serve(OperationList& list, bool is_exhaustive);
  void ServePolls(WatchedDescriptor& descriptor);
  void ContinueLater(int fd);
  void Continue();
  int WaitFor(Operation* operation, WatchedDescriptor& descriptor, OperationList& list, uint32_t events);

  uint32_t sq_mask_ = 0;
  uint32_t cq_mask_ = 0;
  uint32_t cq_tail_ = 0;
  io_uring_cqe* completions_ = nullptr;
  std::deque<io_uring_cqe> overflow_;
  OperationPool operations_;
  OperationIndex index_;
  OperationTimers timers_;
  OperationList starting_;
  ProvidedBuffers buffers_;
  ReadinessSet readiness_;
  BlockingPool pool_;
  std::vector<int> continued_;
  // How often the set was not looked at because there was enough to do.
  int skipped_looks_ = 0;
  std::mutex messages_mutex_;
  std::vector<Message> messages_;
  std::atomic<uint32_t> message_count_{0};
  epoll_event events_[ReadinessSet::kMaxEvents];
};

}  // namespace sunstar
