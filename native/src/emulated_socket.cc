#include "emulated_socket.h"

#include <fcntl.h>
#include <linux/sockios.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/uio.h>

#include <algorithm>
#include <cerrno>
#include <climits>
#include <cstring>

namespace sunstar {
namespace {

constexpr int kRwfNowait = 8;

bool WouldBlock() { return errno == EAGAIN || errno == EWOULDBLOCK; }

// What was moved before the rest could not be.
int32_t Partly(Operation* operation) {
  operation->is_short = true;
  return static_cast<int32_t>(operation->done);
}

// The result of a call that could not be made now: the caller may have asked not to wait.
int32_t NotNow(Operation* operation) {
  const int error = errno;
  if (WouldBlock() && (operation->entry.msg_flags & MSG_DONTWAIT) == 0) return kMustWait;
  return operation->done > 0 ? Partly(operation) : -error;
}

int CallFlags(const Operation* operation) {
  return static_cast<int>(operation->entry.msg_flags & ~static_cast<uint32_t>(MSG_WAITALL)) | MSG_DONTWAIT |
         MSG_NOSIGNAL;
}

bool WaitsForAll(const Operation* operation) { return (operation->entry.msg_flags & MSG_WAITALL) != 0; }

bool IsReady(int fd, short events) {
  pollfd one{fd, events, 0};
  return poll(&one, 1, 0) > 0;
}

// Cuts what was moved off the front of a message that is the operation's own copy.
void Advance(msghdr* message, size_t count) {
  while (count > 0 && message->msg_iovlen > 0) {
    iovec& first = *message->msg_iov;
    const size_t taken = std::min(count, first.iov_len);
    first.iov_base = static_cast<char*>(first.iov_base) + taken;
    first.iov_len -= taken;
    count -= taken;
    if (first.iov_len > 0) continue;
    message->msg_iov++;
    message->msg_iovlen--;
  }
}

size_t SizeOf(const msghdr* message) {
  size_t size = 0;
  for (size_t i = 0; i < message->msg_iovlen; i++) size += message->msg_iov[i].iov_len;
  return size;
}

}  // namespace

int StabilizeMessage(Operation* operation) {
  if (operation->storage != nullptr) return 0;
  const auto* original = static_cast<const msghdr*>(operation->address());
  if (original->msg_iovlen > IOV_MAX) return -EMSGSIZE;
  const size_t vector = original->msg_iovlen * sizeof(iovec);
  const size_t name = original->msg_name == nullptr ? 0 : original->msg_namelen;
  const size_t control = original->msg_control == nullptr ? 0 : original->msg_controllen;
  operation->storage = static_cast<char*>(malloc(sizeof(msghdr) + vector + control + name));
  if (operation->storage == nullptr) return -ENOMEM;
  auto* copy = reinterpret_cast<msghdr*>(operation->storage);
  *copy = *original;
  char* at = operation->storage + sizeof(msghdr);
  copy->msg_iov = static_cast<iovec*>(memcpy(at, original->msg_iov, vector));
  at += vector;
  if (control > 0) copy->msg_control = memcpy(at, original->msg_control, control);
  at += control;
  if (name > 0) copy->msg_name = memcpy(at, original->msg_name, name);
  operation->entry.addr = reinterpret_cast<uint64_t>(operation->storage);
  return 0;
}

int32_t AttemptSend(Operation* operation) {
  const io_uring_sqe& entry = operation->entry;
  for (;;) {
    const char* from = static_cast<const char*>(operation->address()) + operation->done;
    const ssize_t sent = send(entry.fd, from, entry.len - operation->done, CallFlags(operation));
    if (sent < 0 && errno == EINTR) continue;
    if (sent < 0) return NotNow(operation);
    operation->done += static_cast<uint64_t>(sent);
    if (!WaitsForAll(operation) || operation->done >= entry.len) return static_cast<int32_t>(operation->done);
    if (sent == 0) return Partly(operation);
  }
}

int32_t AttemptSendMessage(Operation* operation) {
  for (;;) {
    auto* message = static_cast<msghdr*>(operation->address());
    const ssize_t sent = sendmsg(operation->entry.fd, message, CallFlags(operation));
    if (sent < 0 && errno == EINTR) continue;
    if (sent < 0) return NotNow(operation);
    operation->done += static_cast<uint64_t>(sent);
    if (!WaitsForAll(operation) || static_cast<size_t>(sent) == SizeOf(message))
      return static_cast<int32_t>(operation->done);
    const int error = sent == 0 ? 0 : StabilizeMessage(operation);
    if (sent == 0 || error != 0) return Partly(operation);
    message = static_cast<msghdr*>(operation->address());
    Advance(message, static_cast<size_t>(sent));
    // Sent along with the first part.
    message->msg_control = nullptr;
    message->msg_controllen = 0;
  }
}

int32_t AttemptReceive(Operation* operation, const ProvidedBuffer* buffer) {
  const io_uring_sqe& entry = operation->entry;
  char* to = static_cast<char*>(operation->address());
  size_t length = entry.len;
  if (buffer != nullptr) {
    to = reinterpret_cast<char*>(buffer->addr);
    length = entry.len == 0 ? buffer->len : std::min(entry.len, buffer->len);
  }
  for (;;) {
    const ssize_t count = recv(entry.fd, to + operation->done, length - operation->done, CallFlags(operation));
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return NotNow(operation);
    if (!WaitsForAll(operation)) return static_cast<int32_t>(count);
    operation->done += static_cast<uint64_t>(count);
    if (operation->done >= length) return static_cast<int32_t>(operation->done);
    if (count == 0) return Partly(operation);
  }
}

int32_t AttemptReceiveMessage(Operation* operation) {
  for (;;) {
    const ssize_t count =
        recvmsg(operation->entry.fd, static_cast<msghdr*>(operation->address()), CallFlags(operation));
    if (count >= 0) return static_cast<int32_t>(count);
    if (errno != EINTR) return NotNow(operation);
  }
}

int32_t AttemptReceiveDatagram(Operation* operation, const ProvidedBuffer* buffer, bool* is_last) {
  const size_t front = sizeof(ReceivedMessage) + operation->name_length + operation->control_length;
  *is_last = true;
  if (buffer->len < front) return -EFAULT;
  char* name = reinterpret_cast<char*>(buffer->addr) + sizeof(ReceivedMessage);
  iovec vector{reinterpret_cast<char*>(buffer->addr) + front, buffer->len - front};
  msghdr message{};
  message.msg_name = name;
  message.msg_namelen = operation->name_length;
  message.msg_control = name + operation->name_length;
  message.msg_controllen = operation->control_length;
  message.msg_iov = &vector;
  message.msg_iovlen = 1;
  ssize_t count = 0;
  do {
    count = recvmsg(operation->entry.fd, &message, CallFlags(operation));
  } while (count < 0 && errno == EINTR);
  if (count < 0) return NotNow(operation);
  auto* out = reinterpret_cast<ReceivedMessage*>(buffer->addr);
  out->namelen = message.msg_namelen;
  out->controllen = static_cast<uint32_t>(message.msg_controllen);
  out->payloadlen = static_cast<uint32_t>(count);
  out->flags = static_cast<uint32_t>(message.msg_flags);
  *is_last = count == 0;
  return static_cast<int32_t>(front + std::min<size_t>(static_cast<size_t>(count), vector.iov_len));
}

int PrepareAccept(int fd) {
  int is_listening = 0;
  socklen_t size = sizeof is_listening;
  if (getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &is_listening, &size) != 0) return -errno;
  if (is_listening == 0) return -EINVAL;
  // accept has no flag for "do not wait", and the flag of the open file would be seen by every process that has the
  // socket, ring or not. So readiness is asked for first, and should another process then be faster, this bounds
  // the wait to one tick of the kernel's clock.
  const timeval least{0, 1};
  setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &least, sizeof least);
  return 0;
}

int32_t AttemptAccept(Operation* operation, bool is_multishot) {
  const io_uring_sqe& entry = operation->entry;
  auto* address = is_multishot ? nullptr : static_cast<sockaddr*>(operation->address());
  auto* length = is_multishot ? nullptr : static_cast<socklen_t*>(operation->second_address());
  for (;;) {
    if (!IsReady(entry.fd, POLLIN)) return kMustWait;
    const int fd = accept4(entry.fd, address, length, static_cast<int>(entry.accept_flags));
    if (fd >= 0) return fd;
    if (errno == EINTR) continue;
    return WouldBlock() ? kMustWait : -errno;
  }
}

int32_t AttemptConnect(Operation* operation) {
  const int fd = operation->entry.fd;
  if (operation->is_begun) {
    if (!IsReady(fd, POLLOUT)) return kMustWait;
    int error = 0;
    socklen_t size = sizeof error;
    if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size) != 0) return -errno;
    return -error;
  }
  const int flags = fcntl(fd, F_GETFL);
  if (flags < 0) return -errno;
  // Nobody else has a socket that is not connected yet.
  if ((flags & O_NONBLOCK) == 0) fcntl(fd, F_SETFL, flags | O_NONBLOCK);
  const int result = connect(fd, static_cast<const sockaddr*>(operation->address()),
                             static_cast<socklen_t>(operation->entry.addr2));
  const int error = result == 0 ? 0 : errno;
  if ((flags & O_NONBLOCK) == 0) fcntl(fd, F_SETFL, flags);
  if (error == EINPROGRESS) {
    operation->is_begun = true;
    // To this machine it is over already.
    return AttemptConnect(operation);
  }
  // A Unix socket whose listener's queue is full: nothing tells when there is room.
  return error == EAGAIN ? kMustBlock : -error;
}

int32_t AttemptTransfer(Operation* operation) {
  const io_uring_sqe& entry = operation->entry;
  const bool is_write = entry.opcode == IORING_OP_WRITE || entry.opcode == IORING_OP_WRITEV;
  iovec single{operation->address(), entry.len};
  const bool has_vector = entry.opcode == IORING_OP_READV || entry.opcode == IORING_OP_WRITEV;
  iovec* vector = has_vector ? static_cast<iovec*>(operation->address()) : &single;
  const int count = has_vector ? static_cast<int>(entry.len) : 1;
  const int flags = static_cast<int>(entry.rw_flags) | kRwfNowait;
  for (;;) {
    const ssize_t moved = is_write ? pwritev2(entry.fd, vector, count, -1, flags) : preadv2(entry.fd, vector, count, -1, flags);
    if (moved >= 0) return static_cast<int32_t>(moved);
    if (errno == EINTR) continue;
    if (WouldBlock()) return kMustWait;
    if (errno != EOPNOTSUPP) return -errno;
    // Cannot be asked not to wait: what is ready is left to a thread.
    return IsReady(entry.fd, is_write ? POLLOUT : POLLIN) ? kMustBlock : kMustWait;
  }
}

bool IsTcp(int fd) {
  int protocol = 0;
  socklen_t size = sizeof protocol;
  return getsockopt(fd, SOL_SOCKET, SO_PROTOCOL, &protocol, &size) == 0 && protocol == IPPROTO_TCP;
}

bool IsStream(int fd) {
  int type = 0;
  socklen_t size = sizeof type;
  return getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &size) == 0 && type == SOCK_STREAM;
}

bool HasInput(int fd) {
  int bytes = 0;
  return ioctl(fd, SIOCINQ, &bytes) == 0 && bytes > 0;
}

}  // namespace sunstar
