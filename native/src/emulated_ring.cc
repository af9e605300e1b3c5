#include "emulated_ring.h"

#include <sys/mman.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <unordered_map>

#include "emulated_file.h"

namespace sunstar {
namespace {

constexpr uint32_t kMaxEntries = 32768;
constexpr uint32_t kMaxCompletions = 65536;
// While completions wait to be taken, sockets are looked at every so many enters.
constexpr int kMaxSkippedLooks = 8;
constexpr int64_t kNsPerMs = 1'000'000;

// The words of the mapping, in cache lines of their own.
constexpr uint32_t kSqHead = 0;
constexpr uint32_t kSqTail = 64;
constexpr uint32_t kSqFlags = 128;
constexpr uint32_t kCqHead = 192;
constexpr uint32_t kCqTail = 256;
constexpr uint32_t kCompletions = 320;

constexpr uint8_t kEmulated[] = {
    IORING_OP_NOP,          IORING_OP_READV,           IORING_OP_WRITEV,      IORING_OP_FSYNC,
    IORING_OP_POLL_ADD,     IORING_OP_POLL_REMOVE,     IORING_OP_SYNC_FILE_RANGE, IORING_OP_SENDMSG,
    IORING_OP_RECVMSG,      IORING_OP_TIMEOUT,         IORING_OP_TIMEOUT_REMOVE, IORING_OP_ACCEPT,
    IORING_OP_ASYNC_CANCEL, IORING_OP_LINK_TIMEOUT,    IORING_OP_CONNECT,     IORING_OP_FALLOCATE,
    IORING_OP_OPENAT,       IORING_OP_CLOSE,           IORING_OP_STATX,       IORING_OP_READ,
    IORING_OP_WRITE,        IORING_OP_FADVISE,         IORING_OP_MADVISE,     IORING_OP_SEND,
    IORING_OP_RECV,         IORING_OP_OPENAT2,         IORING_OP_SHUTDOWN,    IORING_OP_RENAMEAT,
    IORING_OP_UNLINKAT,     IORING_OP_MKDIRAT,         IORING_OP_SYMLINKAT,   IORING_OP_LINKAT,
    kOpMsgRing,             kOpSocket,                 kOpFtruncate,
};

// The rings of this process by the number that names them.
struct Directory {
  std::mutex mutex;
  std::unordered_map<int, EmulatedRing*> rings;
};

Directory& TheDirectory() {
  // Never destroyed: threads may still end after the process's static objects have.
  static auto* directory = new Directory();
  return *directory;
}

uint32_t RoundUp(uint32_t value) {
  uint32_t power = 1;
  while (power < value) power *= 2;
  return power;
}

}  // namespace

EmulatedRing::EmulatedRing()
    : pool_(MakeBlockingCall, [](void* self) { static_cast<EmulatedRing*>(self)->readiness_.Wake(); }, this) {}

int EmulatedRing::Setup(uint32_t entries, uint32_t cq_entries) {
  if (entries == 0 || cq_entries == 0) return -EINVAL;
  params_.sq_entries = std::min(RoundUp(entries), kMaxEntries);
  params_.cq_entries = std::min(RoundUp(std::max(cq_entries, entries)), kMaxCompletions);
  // What has to be done for completions is done inside an enter, and a silent success is really over by then.
  params_.flags = IORING_SETUP_DEFER_TASKRUN;
  params_.features = IORING_FEAT_SINGLE_MMAP | IORING_FEAT_CQE_SKIP | IORING_FEAT_NODROP | IORING_FEAT_SUBMIT_STABLE | IORING_FEAT_RW_CUR_POS |
                     IORING_FEAT_EXT_ARG;
  params_.sq_off.head = kSqHead;
  params_.sq_off.tail = kSqTail;
  params_.sq_off.flags = kSqFlags;
  params_.cq_off.head = kCqHead;
  params_.cq_off.tail = kCqTail;
  params_.cq_off.cqes = kCompletions;
  sq_mask_ = params_.sq_entries - 1;
  cq_mask_ = params_.cq_entries - 1;
  const int error = readiness_.Open();
  if (error != 0) return error;
  memory_size_ = kCompletions + params_.cq_entries * sizeof(io_uring_cqe);
  memory_ = static_cast<char*>(MapAnonymous(memory_size_));
  entries_ = static_cast<char*>(MapAnonymous(entries_size()));
  if (memory_ == nullptr || entries_ == nullptr || MapControl() != 0) {
    readiness_.Close();
    return -ENOMEM;
  }
  completions_ = reinterpret_cast<io_uring_cqe*>(memory_ + kCompletions);
  *Word(kSqFlags) = IORING_SQ_TASKRUN;
  Directory& directory = TheDirectory();
  const std::lock_guard lock(directory.mutex);
  directory.rings[fd()] = this;
  return 0;
}

int EmulatedRing::Enter(uint32_t to_submit, uint32_t min_complete) {
  control_[kControlEnters]++;
  const uint32_t submitted = Submit(to_submit);
  Collect();
  if (min_complete > 0) {
    const int error = Wait(min_complete, -1);
    if (error != 0 && submitted == 0) return error;
  }
  return static_cast<int>(submitted);
}

int EmulatedRing::EnterAndWait(uint32_t to_submit, int timeout_ms) {
  control_[kControlEnters]++;
  Submit(to_submit);
  Collect();
  return Wait(1, timeout_ms < 0 ? -1 : timeout_ms * kNsPerMs);
}

int EmulatedRing::Probe(uint8_t* supported) const {
  memset(supported, 0, kOperationCodes);
  for (const uint8_t opcode : kEmulated) supported[opcode] = 1;
  return 0;
}

// There are no operations on registered memory or descriptors: nothing would be saved.
int EmulatedRing::RegisterBuffers(const iovec*, uint32_t) { return -EOPNOTSUPP; }

int EmulatedRing::RegisterFiles(const int32_t*, uint32_t) { return -EOPNOTSUPP; }

int EmulatedRing::UpdateRegisteredFile(uint32_t, int32_t) { return -EOPNOTSUPP; }

int EmulatedRing::AddBufferRing(uint16_t group, uint32_t entries, void* memory, bool is_incremental) {
  return buffers_.Add(group, entries, memory, is_incremental);
}

int EmulatedRing::UnregisterBufferRing(uint16_t group) { return buffers_.Remove(group); }

uint32_t EmulatedRing::Submit(uint32_t count) {
  const uint32_t head = *Word(kSqHead);
  const auto* entries = reinterpret_cast<const io_uring_sqe*>(entries_);
  count = std::min(count, *Word(kSqTail) - head);
  Operation* first = nullptr;
  Operation* last = nullptr;
  for (uint32_t i = 0; i < count; i++) {
    Operation* operation = operations_.Take(entries[(head + i) & sq_mask_]);
    submitted_ += IsCounted(operation->entry.user_data) ? 1 : 0;
    if (first == nullptr) first = operation;
    else last->link = operation;
    last = operation;
    // A chain ends with the batch at the latest.
    if ((operation->has(IOSQE_IO_LINK) || operation->has(IOSQE_IO_HARDLINK)) && i + 1 < count) continue;
    StartChain(first);
    first = nullptr;
  }
  __atomic_store_n(Word(kSqHead), head + count, __ATOMIC_RELEASE);
  return count;
}

// What has happened since the last time.
void EmulatedRing::Collect() {
  FlushOverflow();
  TakeEnded();
  TakeMessages();
  if (!continued_.empty()) Continue();
  ExpireTimers();
  if (Untaken() > 0 && ++skipped_looks_ < kMaxSkippedLooks) return;
  skipped_looks_ = 0;
  HandleEvents(readiness_.Wait(events_, 0));
}

int EmulatedRing::Wait(uint32_t min_complete, int64_t timeout_ns) {
  const int64_t until_ns = timeout_ns < 0 ? -1 : MonotonicNs() + timeout_ns;
  while (Untaken() < min_complete && overflow_.empty()) {
    int64_t left_ns = -1;
    if (until_ns >= 0 || !timers_.IsEmpty()) {
      const int64_t now_ns = MonotonicNs();
      if (until_ns >= 0) {
        left_ns = until_ns - now_ns;
        if (left_ns <= 0) return -ETIME;
      }
      if (!timers_.IsEmpty()) {
        const int64_t timer_ns = std::max<int64_t>(0, timers_.First()->deadline_ns - now_ns);
        left_ns = left_ns < 0 ? timer_ns : std::min(left_ns, timer_ns);
      }
    }
    readiness_.Announce();
    if (HasPosted() || !continued_.empty()) left_ns = 0;
    const int count = readiness_.Wait(events_, left_ns);
    readiness_.Retract();
    if (count < 0) return count;
    HandleEvents(count);
    TakeEnded();
    TakeMessages();
    if (!continued_.empty()) Continue();
    ExpireTimers();
  }
  return 0;
}

uint32_t EmulatedRing::Untaken() const { return cq_tail_ - LoadAcquire(Word(kCqHead)); }

bool EmulatedRing::HasRoom() const { return overflow_.empty() && Untaken() < params_.cq_entries; }

bool EmulatedRing::HasPosted() const {
  return pool_.HasEnded() || message_count_.load(std::memory_order_acquire) != 0;
}

void EmulatedRing::Post(uint64_t user_data, int32_t result, uint32_t flags) {
  const io_uring_cqe completion{user_data, result, flags};
  if (HasRoom()) {
    Write(completion);
    return;
  }
  overflow_.push_back(completion);
  __atomic_store_n(Word(kSqFlags), IORING_SQ_TASKRUN | IORING_SQ_CQ_OVERFLOW, __ATOMIC_RELEASE);
}

void EmulatedRing::Write(const io_uring_cqe& completion) {
  memcpy(&completions_[cq_tail_ & cq_mask_], &completion, sizeof completion);
  cq_tail_++;
  __atomic_store_n(Word(kCqTail), cq_tail_, __ATOMIC_RELEASE);
}

void EmulatedRing::FlushOverflow() {
  if (overflow_.empty()) return;
  while (!overflow_.empty() && Untaken() < params_.cq_entries) {
    Write(overflow_.front());
    overflow_.pop_front();
  }
  if (overflow_.empty()) __atomic_store_n(Word(kSqFlags), IORING_SQ_TASKRUN, __ATOMIC_RELEASE);
}

void EmulatedRing::TakeEnded() {
  if (!pool_.HasEnded()) return;
  Operation* operation = pool_.TakeEnded();
  while (operation != nullptr) {
    Operation* next = operation->next;
    operation->state = Operation::State::kIdle;
    Finish(operation, operation->result);
    operation = next;
  }
  RunStarting();
}

int EmulatedRing::Deliver(uint64_t user_data, int32_t result) {
  {
    const std::lock_guard lock(messages_mutex_);
    if (messages_.size() >= params_.cq_entries) return -EOVERFLOW;
    messages_.push_back({user_data, result});
    message_count_.store(static_cast<uint32_t>(messages_.size()), std::memory_order_release);
  }
  readiness_.Wake();
  return 0;
}

void EmulatedRing::TakeMessages() {
  if (message_count_.load(std::memory_order_acquire) == 0) return;
  const std::lock_guard lock(messages_mutex_);
  for (const Message& message : messages_) Post(message.user_data, message.result, 0);
  messages_.clear();
  message_count_.store(0, std::memory_order_relaxed);
}

int32_t EmulatedRing::SendMessage(const io_uring_sqe& entry) {
  // The other way to use the operation passes descriptors.
  if (entry.addr != kMessageData || entry.rw_flags != 0) return -EINVAL;
  Directory& directory = TheDirectory();
  const std::lock_guard lock(directory.mutex);
  const auto found = directory.rings.find(entry.fd);
  if (found == directory.rings.end()) return -EBADFD;
  return found->second->Deliver(entry.off, static_cast<int32_t>(entry.len));
}

void EmulatedRing::ExpireTimers() {
  if (timers_.IsEmpty()) return;
  const int64_t now_ns = MonotonicNs();
  while (!timers_.IsEmpty() && timers_.First()->deadline_ns <= now_ns) {
    Operation* operation = timers_.First();
    timers_.Remove(operation);
    operation->state = Operation::State::kIdle;
    Operation* target = operation->linked_from;
    if (target == nullptr) {
      Finish(operation, -ETIME);
      continue;
    }
    // Taken out of the chain, which goes on with what follows it.
    target->link = operation->link;
    operation->link = nullptr;
    const int32_t cancelled = Cancel(target);
    Finish(operation, cancelled == 0 ? -ETIME : cancelled);
  }
  RunStarting();
}

void EmulatedRing::HandleEvents(int count) {
  for (int i = 0; i < count; i++) {
    const uint32_t events = events_[i].events;
    WatchedDescriptor* descriptor = readiness_.Find(events_[i].data.fd);
    if (descriptor == nullptr) continue;
    const bool has_ended = (events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR | EPOLLPRI)) != 0;
    // First: it is told of what others then take.
    if (!descriptor->polls.IsEmpty()) ServePolls(*descriptor);
    if (has_ended || (events & EPOLLIN) != 0) Serve(descriptor->input, has_ended);
    if ((events & (EPOLLOUT | EPOLLHUP | EPOLLERR)) != 0) Serve(descriptor->output, true);
  }
  if (count > 0) RunStarting();
}

void EmulatedRing::CancelAll() {
  // What has been cancelled may start what was linked to it, which the next round of the teardown cancels.
  for (Operation* operation : index_.All()) {
    // An earlier one may have taken it along.
    if (operation->is_indexed) Cancel(operation);
  }
  RunStarting();
  Collect();
}

void EmulatedRing::Close() {
  Directory& directory = TheDirectory();
  {
    const std::lock_guard lock(directory.mutex);
    directory.rings.erase(fd());
  }
  pool_.Stop();
  readiness_.Close();
}

}  // namespace sunstar
