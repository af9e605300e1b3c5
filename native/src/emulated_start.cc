// How an operation of the emulated ring begins and ends: links, timeouts, cancellation, closing.
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

#include "emulated_file.h"
#include "emulated_ring.h"
#include "emulated_socket.h"

namespace sunstar {
namespace {

constexpr uint32_t kAnyTime = IORING_TIMEOUT_ABS | IORING_TIMEOUT_ETIME_SUCCESS;

bool IsTransfer(uint8_t opcode) {
  return opcode == IORING_OP_READ || opcode == IORING_OP_WRITE || opcode == IORING_OP_READV || opcode == IORING_OP_WRITEV;
}

// Whether anything about the entry is not emulated; 0 or a negative error number.
int Check(const Operation& operation) {
  const io_uring_sqe& entry = operation.entry;
  constexpr uint8_t kKnownFlags =
      IOSQE_IO_LINK | IOSQE_IO_HARDLINK | IOSQE_ASYNC | IOSQE_BUFFER_SELECT | IOSQE_CQE_SKIP_SUCCESS;
  if ((entry.flags & ~kKnownFlags) != 0) return -EINVAL;
  if (operation.has(IOSQE_BUFFER_SELECT) && entry.opcode != IORING_OP_RECV && entry.opcode != IORING_OP_RECVMSG)
    return -EOPNOTSUPP;
  switch (entry.opcode) {
    case IORING_OP_TIMEOUT:
      // No counts of completions, no other clocks, no repetitions.
      return entry.len == 1 && entry.off == 0 && (entry.timeout_flags & ~kAnyTime) == 0 ? 0 : -EINVAL;
    case IORING_OP_LINK_TIMEOUT:
      return entry.len == 1 && entry.off == 0 && (entry.timeout_flags & ~kAnyTime) == 0 && operation.linked_from != nullptr
                 ? 0
                 : -EINVAL;
    case IORING_OP_TIMEOUT_REMOVE:
      return entry.timeout_flags == 0 ? 0 : -EINVAL;
    case IORING_OP_POLL_ADD:
      return (entry.len & ~IORING_POLL_ADD_MULTI) == 0 ? 0 : -EINVAL;
    case IORING_OP_POLL_REMOVE:
      return entry.len == 0 ? 0 : -EINVAL;
    case IORING_OP_ACCEPT:
      return entry.file_index == 0 && (entry.ioprio & ~IORING_ACCEPT_MULTISHOT) == 0 ? 0 : -EINVAL;
    case IORING_OP_RECV:
    case IORING_OP_RECVMSG: {
      if ((entry.ioprio & ~(IORING_RECVSEND_POLL_FIRST | IORING_RECV_MULTISHOT)) != 0) return -EINVAL;
      if ((entry.ioprio & IORING_RECV_MULTISHOT) == 0)
        return operation.has(IOSQE_BUFFER_SELECT) && (entry.msg_flags & MSG_WAITALL) != 0 ? -EINVAL : 0;
      const bool has_length = entry.opcode == IORING_OP_RECV && entry.len != 0;
      return operation.has(IOSQE_BUFFER_SELECT) && !has_length && (entry.msg_flags & MSG_WAITALL) == 0 ? 0 : -EINVAL;
    }
    case IORING_OP_SEND:
    case IORING_OP_SENDMSG:
      return (entry.ioprio & ~IORING_RECVSEND_POLL_FIRST) == 0 ? 0 : -EINVAL;
    case IORING_OP_NOP:
    case IORING_OP_ASYNC_CANCEL:
    case IORING_OP_CONNECT:
    case IORING_OP_SHUTDOWN:
    case kOpMsgRing:
    case kOpSocket:
      return 0;
    case IORING_OP_CLOSE:
    case IORING_OP_OPENAT:
    case IORING_OP_OPENAT2:
      return entry.file_index == 0 ? 0 : -EINVAL;
    default:
      return IsTransfer(entry.opcode) || IsBlockingCall(entry.opcode) ? 0 : -EINVAL;
  }
}

// What the submitter may change once it is submitted is copied; 0 or a negative error number.
int Stabilize(Operation* operation) {
  const io_uring_sqe& entry = operation->entry;
  switch (entry.opcode) {
    case IORING_OP_TIMEOUT:
    case IORING_OP_LINK_TIMEOUT: {
      const auto* time = static_cast<const __kernel_timespec*>(operation->address());
      if (time->tv_sec < 0 || time->tv_nsec < 0 || time->tv_nsec >= 1'000'000'000) return -EINVAL;
      operation->deadline_ns = time->tv_sec * int64_t{1'000'000'000} + time->tv_nsec;
      return 0;
    }
    case IORING_OP_SENDMSG:
      return StabilizeMessage(operation);
    default:
      return StabilizeCall(operation);
  }
}

// A result that keeps what is linked from starting.
bool IsFailure(const Operation& operation, int32_t result) {
  const io_uring_sqe& entry = operation.entry;
  if (operation.is_short) return true;
  if (result < 0) {
    return !(entry.opcode == IORING_OP_TIMEOUT && result == -ETIME &&
             (entry.timeout_flags & IORING_TIMEOUT_ETIME_SUCCESS) != 0);
  }
  switch (entry.opcode) {
    case IORING_OP_READ:
    case IORING_OP_WRITE:
      return static_cast<uint32_t>(result) != entry.len;
    case IORING_OP_READV:
    case IORING_OP_WRITEV: {
      size_t wanted = 0;
      const auto* vector = static_cast<const iovec*>(operation.address());
      for (uint32_t i = 0; i < entry.len; i++) wanted += vector[i].iov_len;
      return static_cast<size_t>(result) != wanted;
    }
    default:
      return false;
  }
}

}  // namespace

void EmulatedRing::StartChain(Operation* head) {
  bool is_valid = true;
  for (Operation *operation = head, *before = nullptr; operation != nullptr; operation = operation->link) {
    if (operation->opcode() == IORING_OP_LINK_TIMEOUT && before != nullptr && before->opcode() != IORING_OP_LINK_TIMEOUT)
      operation->linked_from = before;
    operation->result = Check(*operation);
    // A message alone is sent from where it is, if it can be sent at once.
    const bool may_wait = operation->link != nullptr || before != nullptr || operation->opcode() != IORING_OP_SENDMSG;
    if (operation->result == 0 && may_wait) operation->result = Stabilize(operation);
    is_valid = is_valid && operation->result == 0;
    before = operation;
  }
  if (is_valid) {
    starting_.Push(head);
    RunStarting();
    return;
  }
  while (head != nullptr) {
    Operation* next = head->link;
    head->link = nullptr;
    Finish(head, head->result != 0 ? head->result : -ECANCELED);
    head = next;
  }
}

void EmulatedRing::RunStarting() {
  while (Operation* operation = starting_.Shift()) Start(operation);
}

void EmulatedRing::Start(Operation* operation) {
  const io_uring_sqe& entry = operation->entry;
  // Before anything can end it: afterwards the operation may be gone.
  if (operation->link != nullptr && operation->link->opcode() == IORING_OP_LINK_TIMEOUT) StartTimeout(operation->link);
  switch (entry.opcode) {
    case IORING_OP_NOP:
      return Finish(operation, 0);
    case IORING_OP_POLL_ADD:
      return StartPoll(operation);
    case IORING_OP_TIMEOUT:
      return StartTimeout(operation);
    case IORING_OP_TIMEOUT_REMOVE:
    case IORING_OP_POLL_REMOVE: {
      Operation* target = index_.Find(entry.addr);
      const uint8_t wanted = entry.opcode == IORING_OP_POLL_REMOVE ? IORING_OP_POLL_ADD : IORING_OP_TIMEOUT;
      const bool is_found = target != nullptr && target->opcode() == wanted;
      return Finish(operation, is_found ? Cancel(target) : -ENOENT);
    }
    case IORING_OP_ASYNC_CANCEL:
      return Finish(operation, CancelMatching(entry));
    case IORING_OP_SHUTDOWN:
      return Finish(operation, shutdown(entry.fd, static_cast<int>(entry.len)) == 0 ? 0 : -errno);
    case kOpMsgRing:
      return Finish(operation, SendMessage(entry));
    case kOpSocket: {
      const int fd = socket(entry.fd, static_cast<int>(entry.off), static_cast<int>(entry.len));
      return Finish(operation, fd < 0 ? -errno : fd);
    }
    case IORING_OP_CLOSE:
      return StartClose(operation);
    case IORING_OP_READ:
    case IORING_OP_WRITE:
    case IORING_OP_READV:
    case IORING_OP_WRITEV: {
      struct stat status;
      if (fstat(entry.fd, &status) != 0) return Finish(operation, -errno);
      const mode_t kind = status.st_mode & S_IFMT;
      if (kind == S_IFREG || kind == S_IFBLK || kind == S_IFDIR) return StartBlocking(operation);
      return StartOnDescriptor(operation);
    }
    default:
      return IsBlockingCall(entry.opcode) ? StartBlocking(operation) : StartOnDescriptor(operation);
  }
}

void EmulatedRing::StartBlocking(Operation* operation) {
  // Calls on a descriptor, and not on a path, hold up its close.
  const uint8_t opcode = operation->opcode();
  if (IsTransfer(opcode) || opcode == IORING_OP_FSYNC || opcode == IORING_OP_FALLOCATE ||
      opcode == IORING_OP_SYNC_FILE_RANGE || opcode == kOpFtruncate || opcode == IORING_OP_CONNECT) {
    if (operation->entry.fd < 0) return Finish(operation, -EBADF);
    readiness_.At(operation->entry.fd).calls++;
    operation->is_counted = true;
  }
  operation->state = Operation::State::kBlocking;
  if (!operation->is_indexed) index_.Add(operation);
  pool_.Submit(operation);
}

void EmulatedRing::StartClose(Operation* operation) {
  WatchedDescriptor* descriptor = readiness_.Find(operation->entry.fd);
  if (descriptor == nullptr) return CloseNow(operation);
  if (descriptor->closing != nullptr) return Finish(operation, -EBADF);
  // The kernel would let them go on; nothing can tell them from operations on the number's next file here.
  for (OperationList* list : {&descriptor->input, &descriptor->output, &descriptor->polls}) {
    while (Operation* waiting = list->First()) Cancel(waiting);
  }
  if (descriptor->calls > 0) {
    descriptor->closing = operation;
    return;
  }
  readiness_.Forget(*descriptor);
  CloseNow(operation);
}

void EmulatedRing::CloseNow(Operation* operation) {
  linger wait{};
  socklen_t size = sizeof wait;
  const int fd = operation->entry.fd;
  // Closing a file may wait for the disk, closing a socket that lingers for its peer.
  const bool is_socket = getsockopt(fd, SOL_SOCKET, SO_LINGER, &wait, &size) == 0;
  if (!is_socket && errno == EBADF) return Finish(operation, -EBADF);
  if (!is_socket || (wait.l_onoff != 0 && wait.l_linger > 0)) return StartBlocking(operation);
  Finish(operation, close(fd) == 0 ? 0 : -errno);
}

void EmulatedRing::StartTimeout(Operation* operation) {
  if ((operation->entry.timeout_flags & IORING_TIMEOUT_ABS) == 0) operation->deadline_ns += MonotonicNs();
  operation->state = Operation::State::kTiming;
  index_.Add(operation);
  timers_.Add(operation);
}

int32_t EmulatedRing::Cancel(Operation* operation) {
  switch (operation->state) {
    case Operation::State::kBlocking:
      if (!pool_.Cancel(operation)) return -EALREADY;
      break;
    case Operation::State::kTiming:
      // Only what it is linked to ends it early.
      if (operation->linked_from != nullptr) return -ENOENT;
      break;
    case Operation::State::kWaiting:
      break;
    case Operation::State::kIdle:
      // A close that waits for calls to end.
      return -EALREADY;
  }
  Finish(operation, -ECANCELED);
  return 0;
}

int32_t EmulatedRing::CancelMatching(const io_uring_sqe& entry) {
  const uint32_t flags = entry.cancel_flags;
  constexpr uint32_t kAll = IORING_ASYNC_CANCEL_ALL;
  constexpr uint32_t kFd = IORING_ASYNC_CANCEL_FD;
  constexpr uint32_t kAny = IORING_ASYNC_CANCEL_ANY;
  constexpr uint32_t kUserData = IORING_ASYNC_CANCEL_USERDATA;
  constexpr uint32_t kOp = IORING_ASYNC_CANCEL_OP;
  if ((flags & ~(kAll | kFd | kAny | kUserData | kOp)) != 0) return -EINVAL;
  if (flags == 0 || flags == kUserData) {
    Operation* target = index_.Find(entry.addr);
    return target == nullptr ? -ENOENT : Cancel(target);
  }
  int32_t cancelled = 0;
  bool is_running = false;
  for (Operation* operation : index_.All()) {
    if (!operation->is_indexed) continue;
    const bool by_key = (flags & (kFd | kOp | kAny)) != 0;
    if ((flags & kFd) != 0 && operation->entry.fd != entry.fd) continue;
    // The code is where other cancels have their length.
    if ((flags & kOp) != 0 && operation->opcode() != entry.len) continue;
    if (((flags & kUserData) != 0 || !by_key) && operation->entry.user_data != entry.addr) continue;
    const int32_t result = Cancel(operation);
    if (result == 0) cancelled++;
    is_running = is_running || result == -EALREADY;
    if ((flags & (kAll | kAny)) == 0) return result;
  }
  if (cancelled > 0) return (flags & (kAll | kAny)) != 0 ? cancelled : 0;
  return is_running ? -EALREADY : -ENOENT;
}

// Takes the operation from whoever holds it.
void EmulatedRing::Detach(Operation* operation) {
  index_.Remove(operation);
  if (operation->list != nullptr) operation->list->Remove(operation);
  if (operation->state == Operation::State::kTiming) timers_.Remove(operation);
  operation->state = Operation::State::kIdle;
  if (!operation->is_counted) return;
  operation->is_counted = false;
  WatchedDescriptor& descriptor = readiness_.At(operation->entry.fd);
  if (--descriptor.calls > 0 || descriptor.closing == nullptr) return;
  Operation* closing = descriptor.closing;
  descriptor.closing = nullptr;
  starting_.Push(closing);
}

void EmulatedRing::Finish(Operation* operation, int32_t result, uint32_t flags) {
  Detach(operation);
  const bool is_failure = IsFailure(*operation, result);
  const uint64_t user_data = operation->entry.user_data;
  if (!operation->has(IOSQE_CQE_SKIP_SUCCESS) || is_failure) Post(user_data, result, flags);
  else if (IsCounted(user_data)) submitted_--;
  Operation* next = operation->link;
  const bool is_cut = is_failure && !operation->has(IOSQE_IO_HARDLINK);
  if (next != nullptr && next->opcode() == IORING_OP_LINK_TIMEOUT) {
    // Ended before its time, or (in a chain that failed) never armed.
    Operation* timeout = next;
    next = timeout->link;
    timeout->link = nullptr;
    Finish(timeout, -ECANCELED);
  }
  operations_.GiveBack(operation);
  if (next == nullptr) return;
  if (!is_cut) {
    starting_.Push(next);
    return;
  }
  FailChain(next);
}

void EmulatedRing::FailChain(Operation* head) {
  while (head != nullptr) {
    Operation* next = head->link;
    head->link = nullptr;
    Finish(head, -ECANCELED);
    head = next;
  }
}

}  // namespace sunstar
