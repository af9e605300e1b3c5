// What zero-copy sends need beside the ring: the socket's error queue, an end that keeps the descriptor, and the
// limit of locked memory.
#include <time.h>

#include <linux/capability.h>
#include <linux/errqueue.h>
#include <netinet/in.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>

#include "exports.h"

#ifndef SO_EE_ORIGIN_ZEROCOPY
#define SO_EE_ORIGIN_ZEROCOPY 5
#endif

namespace sunstar {
namespace {

// A notification takes 48 bytes on an IPv4 socket, 60 on an IPv6 one; a truncated one would be lost.
constexpr size_t kControlBytes = 256;

int ToInt(const Napi::Value& value) { return value.As<Napi::Number>().Int32Value(); }

Napi::Value Number(Napi::Env env, double value) { return Napi::Number::New(env, value); }

// Level and type depend on the family of the socket, not of the peer: an IPv6 socket that talks to a mapped IPv4
// address has those of IPv6.
const sock_extended_err* ExtendedError(const cmsghdr* header) {
  const bool v4 = header->cmsg_level == SOL_IP && header->cmsg_type == IP_RECVERR;
  const bool v6 = header->cmsg_level == SOL_IPV6 && header->cmsg_type == IPV6_RECVERR;
  if (!v4 && !v6) return nullptr;
  return reinterpret_cast<const sock_extended_err*>(CMSG_DATA(header));
}

// readZeroCopyNotifications(fd, ranges: Uint32Array): takes them from the socket's error queue, three words each:
// first, last, code (SO_EE_CODE_*). Returns how many; full means that there may be more. A negative error number when
// the queue cannot be read. What else is in the queue is dropped.
Napi::Value ReadZeroCopyNotifications(const Napi::CallbackInfo& info) {
  const int fd = ToInt(info[0]);
  auto ranges = info[1].As<Napi::Uint32Array>();
  const size_t capacity = ranges.ElementLength() / 3;
  size_t count = 0;
  while (count < capacity) {
    alignas(cmsghdr) char control[kControlBytes];
    msghdr message{};
    message.msg_control = control;
    message.msg_controllen = sizeof control;
    if (recvmsg(fd, &message, MSG_ERRQUEUE | MSG_DONTWAIT) < 0) {
      if (errno == EINTR) continue;
      if (errno == EAGAIN || count > 0) break;
      return Number(info.Env(), -errno);
    }
    for (cmsghdr* header = CMSG_FIRSTHDR(&message); header != nullptr; header = CMSG_NXTHDR(&message, header)) {
      const sock_extended_err* error = ExtendedError(header);
      if (error == nullptr || error->ee_origin != SO_EE_ORIGIN_ZEROCOPY || error->ee_errno != 0) continue;
      uint32_t* range = ranges.Data() + count * 3;
      range[0] = error->ee_info;
      range[1] = error->ee_data;
      range[2] = error->ee_code;
      count++;
      break;
    }
  }
  return Number(info.Env(), static_cast<double>(count));
}

// disconnect(fd): ends the connection with RST and drops what was not sent, but keeps the descriptor, so that the
// notifications of zero-copy sends can still be received; 0 or a negative error number
Napi::Value Disconnect(const Napi::CallbackInfo& info) {
  sockaddr address{};
  address.sa_family = AF_UNSPEC;
  const int result = connect(ToInt(info[0]), &address, sizeof address);
  return Number(info.Env(), result == 0 ? 0 : -errno);
}

// shutDown(fd): ends both directions of a socket, the output after what is waiting; 0 or a negative error number
Napi::Value ShutDown(const Napi::CallbackInfo& info) {
  const int result = shutdown(ToInt(info[0]), SHUT_RDWR);
  return Number(info.Env(), result == 0 ? 0 : -errno);
}

bool MayLockAnyMemory() {
  __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
  __user_cap_data_struct data[2]{};
  if (syscall(SYS_capget, &header, data) != 0) return false;
  return (data[0].effective & (1u << CAP_IPC_LOCK)) != 0;
}

// lockedMemoryLimit(): how many bytes this user's processes may lock together (RLIMIT_MEMLOCK); -1: any number
Napi::Value LockedMemoryLimit(const Napi::CallbackInfo& info) {
  rlimit limit{};
  if (MayLockAnyMemory() || getrlimit(RLIMIT_MEMLOCK, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY) {
    return Number(info.Env(), -1);
  }
  return Number(info.Env(), static_cast<double>(limit.rlim_cur));
}

}  // namespace

void ExportZeroCopy(Napi::Env env, Napi::Object exports) {
  exports["readZeroCopyNotifications"] =
      Napi::Function::New<ReadZeroCopyNotifications>(env, "readZeroCopyNotifications");
  exports["disconnect"] = Napi::Function::New<Disconnect>(env, "disconnect");
  exports["shutDown"] = Napi::Function::New<ShutDown>(env, "shutDown");
  exports["lockedMemoryLimit"] = Napi::Function::New<LockedMemoryLimit>(env, "lockedMemoryLimit");
}

}  // namespace sunstar
