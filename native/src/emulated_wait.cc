// Operations of the emulated ring that wait until their descriptor is ready.
#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>

#include "emulated_file.h"
#include "emulated_ring.h"
#include "emulated_socket.h"

namespace sunstar {
namespace {

// How many completions one multishot operation posts before others have their turn.
constexpr int kMaxShots = 32;
constexpr uint32_t kInput = EPOLLIN | EPOLLPRI | EPOLLRDHUP;

bool IsOutput(uint8_t opcode) {
  return opcode == IORING_OP_SEND || opcode == IORING_OP_SENDMSG || opcode == IORING_OP_CONNECT ||
         opcode == IORING_OP_WRITE || opcode == IORING_OP_WRITEV;
}

bool IsMultishotReceive(const Operation& operation) {
  return (operation.opcode() == IORING_OP_RECV || operation.opcode() == IORING_OP_RECVMSG) &&
         (operation.entry.ioprio & IORING_RECV_MULTISHOT) != 0;
}

bool IsMultishotAccept(const Operation& operation) { return (operation.entry.ioprio & IORING_ACCEPT_MULTISHOT) != 0; }

uint32_t BufferFlags(const ProvidedBuffer* buffer) {
  return IORING_CQE_F_BUFFER | static_cast<uint32_t>(buffer->bid) << IORING_CQE_BUFFER_SHIFT;
}

}  // namespace

void EmulatedRing::StartOnDescriptor(Operation* operation) {
  const io_uring_sqe& entry = operation->entry;
  if (entry.fd < 0) return Finish(operation, -EBADF);
  if (entry.opcode == IORING_OP_ACCEPT) {
    const int error = PrepareAccept(entry.fd);
    if (error != 0) return Finish(operation, error);
  } else if (entry.opcode == IORING_OP_RECV && IsMultishotReceive(*operation)) {
    operation->is_tcp = IsTcp(entry.fd);
    operation->is_stream = operation->is_tcp || IsStream(entry.fd);
  } else if (entry.opcode == IORING_OP_RECVMSG && IsMultishotReceive(*operation)) {
    const auto* header = static_cast<const msghdr*>(operation->address());
    operation->name_length = header->msg_namelen;
    operation->control_length = static_cast<uint32_t>(header->msg_controllen);
  }
  const bool is_output = IsOutput(entry.opcode);
  WatchedDescriptor* watched = readiness_.Find(entry.fd);
  const bool has_others = watched != nullptr && !(is_output ? watched->output : watched->input).IsEmpty();
  // Whoever waits already is served first. One that does not wait finds out that there is no room.
  const bool is_impatient = is_output && (entry.msg_flags & MSG_DONTWAIT) != 0 &&
                            (entry.opcode == IORING_OP_SEND || entry.opcode == IORING_OP_SENDMSG);
  if ((!has_others || is_impatient) && Attempt(operation, false)) return;
  WatchedDescriptor& descriptor = readiness_.At(entry.fd);
  if (entry.opcode == IORING_OP_SENDMSG) {
    const int error = StabilizeMessage(operation);
    if (error != 0) return Finish(operation, error);
  }
  OperationList& list = is_output ? descriptor.output : descriptor.input;
  const int error = WaitFor(operation, descriptor, list, is_output ? EPOLLOUT : kInput);
  if (error == 0) return;
  // Always ready as far as epoll goes: a device such as /dev/zero.
  if (error == -EPERM) return StartBlocking(operation);
  Finish(operation, error);
}

int EmulatedRing::WaitFor(Operation* operation, WatchedDescriptor& descriptor, OperationList& list, uint32_t events) {
  const int error = readiness_.Arm(descriptor, events);
  if (error != 0) return error;
  operation->state = Operation::State::kWaiting;
  index_.Add(operation);
  list.Push(operation);
  return 0;
}

void EmulatedRing::StartPoll(Operation* operation) {
  const io_uring_sqe& entry = operation->entry;
  if (entry.fd < 0) return Finish(operation, -EBADF);
  if ((entry.len & IORING_POLL_ADD_MULTI) == 0) {
    pollfd look{entry.fd, static_cast<short>(entry.poll32_events), 0};
    if (poll(&look, 1, 0) > 0) return Finish(operation, look.revents == POLLNVAL ? -EBADF : look.revents);
  }
  WatchedDescriptor& descriptor = readiness_.At(entry.fd);
  // What is ready now is reported as an event, too.
  const int error = WaitFor(operation, descriptor, descriptor.polls, entry.poll32_events);
  if (error == 0) return;
  Finish(operation, error);
}

void EmulatedRing::ServePolls(WatchedDescriptor& descriptor) {
  for (Operation *operation = descriptor.polls.First(), *next = nullptr; operation != nullptr; operation = next) {
    next = operation->next;
    // The event may have been meant for others, or come from a duplicate of a descriptor that was closed.
    pollfd look{descriptor.fd, static_cast<short>(operation->entry.poll32_events), 0};
    if (poll(&look, 1, 0) <= 0) continue;
    const auto events = static_cast<int32_t>(look.revents);
    if ((operation->entry.len & IORING_POLL_ADD_MULTI) == 0) Finish(operation, events);
    else Post(operation->entry.user_data, events, IORING_CQE_F_MORE);
  }
}

// Serves those who wait in order, until one has to wait on. Nothing else starts meanwhile.
void EmulatedRing::Serve(OperationList& list, bool is_exhaustive) {
  while (Operation* operation = list.First()) {
    if (!Attempt(operation, is_exhaustive)) return;
  }
}

bool EmulatedRing::Attempt(Operation* operation, bool is_exhaustive) {
  int32_t result = 0;
  switch (operation->opcode()) {
    case IORING_OP_SEND:
      result = AttemptSend(operation);
      break;
    case IORING_OP_SENDMSG:
      result = AttemptSendMessage(operation);
      break;
    case IORING_OP_CONNECT:
      result = AttemptConnect(operation);
      break;
    case IORING_OP_ACCEPT:
      if (IsMultishotAccept(*operation)) return AttemptAccepts(operation);
      result = AttemptAccept(operation, false);
      break;
    case IORING_OP_RECV:
    case IORING_OP_RECVMSG: {
      if (operation->has(IOSQE_BUFFER_SELECT)) return AttemptBuffers(operation, is_exhaustive);
      result = operation->opcode() == IORING_OP_RECV ? AttemptReceive(operation, nullptr) : AttemptReceiveMessage(operation);
      break;
    }
    default:
      result = AttemptTransfer(operation);
  }
  if (result == kMustWait) return false;
  if (result == kMustBlock) {
    if (operation->list != nullptr) operation->list->Remove(operation);
    StartBlocking(operation);
    return true;
  }
  Finish(operation, result);
  return true;
}

bool EmulatedRing::AttemptAccepts(Operation* operation) {
  for (int shots = 0; shots < kMaxShots && HasRoom(); shots++) {
    const int32_t result = AttemptAccept(operation, true);
    if (result == kMustWait) return false;
    if (result < 0) {
      Finish(operation, result);
      return true;
    }
    Post(operation->entry.user_data, result, IORING_CQE_F_MORE);
  }
  ContinueLater(operation->entry.fd);
  return false;
}

// Into provided buffers, once or until there is nothing more.
bool EmulatedRing::AttemptBuffers(Operation* operation, bool is_exhaustive) {
  const io_uring_sqe& entry = operation->entry;
  const bool is_multishot = IsMultishotReceive(*operation);
  for (int shots = 0; shots < kMaxShots && HasRoom(); shots++) {
    const ProvidedBuffer* buffer = buffers_.Next(entry.buf_group);
    if (buffer == nullptr) {
      Finish(operation, -ENOBUFS);
      return true;
    }
    bool is_last = !is_multishot;
    int32_t result = 0;
    if (entry.opcode == IORING_OP_RECV) {
      result = AttemptReceive(operation, buffer);
      is_last = is_last || result <= 0;
    } else if (is_multishot) {
      result = AttemptReceiveDatagram(operation, buffer, &is_last);
    } else {
      result = -EOPNOTSUPP;
    }
    if (result == kMustWait) return false;
    uint32_t flags = 0;
    if (result > 0) {
      flags = BufferFlags(buffer);
      const bool is_full = static_cast<uint32_t>(result) == buffer->len;
      const bool has_more = operation->is_stream && (is_full || !operation->is_tcp) && HasInput(entry.fd);
      if (has_more) flags |= IORING_CQE_F_SOCK_NONEMPTY;
      if (buffers_.Take(entry.buf_group, static_cast<uint32_t>(result))) flags |= kCompletionBufferMore;
      if (!is_last) {
        Post(entry.user_data, result, flags | IORING_CQE_F_MORE);
        // What comes now is another event; but the end of the stream, and urgent data, are events already.
        if (operation->is_stream && !has_more && !is_exhaustive) return false;
        continue;
      }
    }
    Finish(operation, result, flags);
    return true;
  }
  ContinueLater(entry.fd);
  return false;
}

void EmulatedRing::ContinueLater(int fd) {
  WatchedDescriptor& descriptor = readiness_.At(fd);
  if (descriptor.must_continue) return;
  descriptor.must_continue = true;
  continued_.push_back(fd);
}

void EmulatedRing::Continue() {
  if (!HasRoom()) return;
  std::vector<int> continued;
  continued.swap(continued_);
  for (const int fd : continued) {
    WatchedDescriptor* descriptor = readiness_.Find(fd);
    if (descriptor == nullptr) continue;
    descriptor->must_continue = false;
    Serve(descriptor->input, true);
  }
  RunStarting();
}

}  // namespace sunstar
