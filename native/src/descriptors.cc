// Passing descriptors to another process of the same user, over a Unix socket.
#include <fcntl.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <string>

#include "exports.h"

namespace sunstar {
namespace {

int ToInt(const Napi::Value& value) { return value.As<Napi::Number>().Int32Value(); }

Napi::Value Number(Napi::Env env, int value) { return Napi::Number::New(env, value); }

// unixConnect(path, timeoutMs): a blocking stream socket whose reads end after the time, or an error number
Napi::Value UnixConnect(const Napi::CallbackInfo& info) {
  const std::string path = info[0].As<Napi::String>();
  const int timeout_ms = ToInt(info[1]);
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof address.sun_path) return Number(info.Env(), -ENAMETOOLONG);
  memcpy(address.sun_path, path.data(), path.size());
  const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return Number(info.Env(), -errno);
  const timeval timeout{timeout_ms / 1000, (timeout_ms % 1000) * 1000};
  if (setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof timeout) != 0 ||
      setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &timeout, sizeof timeout) != 0 ||
      connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
    const int error = -errno;
    close(fd);
    return Number(info.Env(), error);
  }
  return Number(info.Env(), fd);
}

// peerUser(fd): the user id of the process at the other end of a Unix socket, or an error number
Napi::Value PeerUser(const Napi::CallbackInfo& info) {
  ucred credentials{};
  socklen_t length = sizeof credentials;
  if (getsockopt(ToInt(info[0]), SOL_SOCKET, SO_PEERCRED, &credentials, &length) != 0) {
    return Number(info.Env(), -errno);
  }
  return Napi::Number::New(info.Env(), credentials.uid);
}

// sendDescriptor(socket, fd or -1, bytes): bytes sent, or an error number
Napi::Value SendDescriptor(const Napi::CallbackInfo& info) {
  const int fd = ToInt(info[1]);
  auto bytes = info[2].As<Napi::Uint8Array>();
  iovec data{bytes.Data(), bytes.ByteLength()};
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))] = {};
  msghdr message{};
  message.msg_iov = &data;
  message.msg_iovlen = 1;
  if (fd >= 0) {
    message.msg_control = control;
    message.msg_controllen = sizeof control;
    cmsghdr* header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(sizeof(int));
    memcpy(CMSG_DATA(header), &fd, sizeof fd);
  }
  const ssize_t sent = sendmsg(ToInt(info[0]), &message, MSG_NOSIGNAL);
  return Number(info.Env(), sent < 0 ? -errno : static_cast<int>(sent));
}

// receiveDescriptor(socket, bytes): fills the bytes; the descriptor that came along, -1 without one, or an error
// number below -1000 (as no error number is 1)
Napi::Value ReceiveDescriptor(const Napi::CallbackInfo& info) {
  auto bytes = info[1].As<Napi::Uint8Array>();
  size_t filled = 0;
  int received_fd = -1;
  int error = 0;
  while (filled < bytes.ByteLength() && error == 0) {
    iovec data{bytes.Data() + filled, bytes.ByteLength() - filled};
    alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))] = {};
    msghdr message{};
    message.msg_iov = &data;
    message.msg_iovlen = 1;
    message.msg_control = control;
    message.msg_controllen = sizeof control;
    const ssize_t received = recvmsg(ToInt(info[0]), &message, MSG_CMSG_CLOEXEC);
    if (received < 0 && errno == EINTR) continue;
    if (received <= 0) {
      error = received == 0 ? ECONNRESET : errno;
      break;
    }
    filled += static_cast<size_t>(received);
    for (cmsghdr* header = CMSG_FIRSTHDR(&message); header != nullptr; header = CMSG_NXTHDR(&message, header)) {
      if (header->cmsg_level != SOL_SOCKET || header->cmsg_type != SCM_RIGHTS) continue;
      int fd = -1;
      memcpy(&fd, CMSG_DATA(header), sizeof fd);
      // One for each message; the kernel has closed what did not fit.
      if (received_fd >= 0 || (message.msg_flags & MSG_CTRUNC) != 0) {
        close(fd);
        error = EPROTO;
      } else {
        received_fd = fd;
      }
    }
  }
  if (error == 0) return Number(info.Env(), received_fd);
  if (received_fd >= 0) close(received_fd);
  return Number(info.Env(), -1000 - error);
}

// duplicateDescriptor(fd): another descriptor of the same file, closed on exec, or an error number
Napi::Value DuplicateDescriptor(const Napi::CallbackInfo& info) {
  const int fd = fcntl(ToInt(info[0]), F_DUPFD_CLOEXEC, 0);
  return Number(info.Env(), fd < 0 ? -errno : fd);
}

}  // namespace

void ExportDescriptors(Napi::Env env, Napi::Object exports) {
  exports["unixConnect"] = Napi::Function::New<UnixConnect>(env, "unixConnect");
  exports["peerUser"] = Napi::Function::New<PeerUser>(env, "peerUser");
  exports["sendDescriptor"] = Napi::Function::New<SendDescriptor>(env, "sendDescriptor");
  exports["receiveDescriptor"] = Napi::Function::New<ReceiveDescriptor>(env, "receiveDescriptor");
  exports["duplicateDescriptor"] = Napi::Function::New<DuplicateDescriptor>(env, "duplicateDescriptor");
}

}  // namespace sunstar
