// Socket calls that must be synchronous or have no ring operation on every supported kernel.
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <cstring>
#include <string>

#include "exports.h"

namespace sunstar {
namespace {

struct Address {
  sockaddr_storage storage{};
  socklen_t length = 0;
};

int ToInt(const Napi::Value& value) { return value.As<Napi::Number>().Int32Value(); }

Napi::Value Number(Napi::Env env, int value) { return Napi::Number::New(env, value); }

// False when the host is not a numeric address.
bool Parse(const std::string& host, int port, Address* address) {
  auto* v4 = reinterpret_cast<sockaddr_in*>(&address->storage);
  if (inet_pton(AF_INET, host.c_str(), &v4->sin_addr) == 1) {
    v4->sin_family = AF_INET;
    v4->sin_port = htons(static_cast<uint16_t>(port));
    address->length = sizeof *v4;
    return true;
  }
  auto* v6 = reinterpret_cast<sockaddr_in6*>(&address->storage);
  *v6 = {};
  if (inet_pton(AF_INET6, host.c_str(), &v6->sin6_addr) != 1) return false;
  v6->sin6_family = AF_INET6;
  v6->sin6_port = htons(static_cast<uint16_t>(port));
  address->length = sizeof *v6;
  return true;
}

// A path, or with a leading zero byte a name in the abstract name space. False when it is too long, or empty.
bool ParsePath(const std::string& path, Address* address) {
  auto* name = reinterpret_cast<sockaddr_un*>(&address->storage);
  const bool is_abstract = !path.empty() && path[0] == '\0';
  // A path ends with a zero byte, which must fit as well.
  if (path.size() < (is_abstract ? 2 : 1) || path.size() + (is_abstract ? 0 : 1) > sizeof name->sun_path) return false;
  if (!is_abstract && path.find('\0') != std::string::npos) return false;
  name->sun_family = AF_UNIX;
  memcpy(name->sun_path, path.data(), path.size());
  address->length = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + path.size() + (is_abstract ? 0 : 1));
  return true;
}

Napi::Value DescribeUnix(Napi::Env env, const Address& address) {
  const auto* name = reinterpret_cast<const sockaddr_un*>(&address.storage);
  const size_t header = offsetof(sockaddr_un, sun_path);
  size_t size = address.length > header ? address.length - header : 0;
  if (size > 0 && name->sun_path[0] != '\0') size = strnlen(name->sun_path, size);
  auto result = Napi::Object::New(env);
  result["address"] = Napi::String::New(env, name->sun_path, size);
  result["port"] = Napi::Number::New(env, 0);
  result["family"] = Napi::String::New(env, "unix");
  return result;
}

Napi::Value Describe(Napi::Env env, const Address& address) {
  if (address.storage.ss_family == AF_UNIX) return DescribeUnix(env, address);
  char text[INET6_ADDRSTRLEN] = "";
  int port = 0;
  if (address.storage.ss_family == AF_INET) {
    const auto* v4 = reinterpret_cast<const sockaddr_in*>(&address.storage);
    inet_ntop(AF_INET, &v4->sin_addr, text, sizeof text);
    port = ntohs(v4->sin_port);
  } else if (address.storage.ss_family == AF_INET6) {
    const auto* v6 = reinterpret_cast<const sockaddr_in6*>(&address.storage);
    inet_ntop(AF_INET6, &v6->sin6_addr, text, sizeof text);
    port = ntohs(v6->sin6_port);
  }
  auto result = Napi::Object::New(env);
  result["address"] = Napi::String::New(env, text);
  result["port"] = Napi::Number::New(env, port);
  result["family"] = Napi::Number::New(env, address.storage.ss_family == AF_INET6 ? 6 : 4);
  return result;
}

// tcpListen(host, port, reusePort, backlog, ipv6Only): a listening descriptor or an error number
Napi::Value TcpListen(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  Address address;
  if (!Parse(info[0].As<Napi::String>(), ToInt(info[1]), &address)) return Number(env, -EINVAL);
  const int fd = socket(address.storage.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return Number(env, -errno);
  const int on = 1;
  const int reuse_port = info[2].As<Napi::Boolean>().Value() ? 1 : 0;
  const int only = info[4].As<Napi::Boolean>().Value() ? 1 : 0;
  const auto* name = reinterpret_cast<const sockaddr*>(&address.storage);
  if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) != 0 ||
      (reuse_port != 0 && setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof on) != 0) ||
      (address.storage.ss_family == AF_INET6 &&
       setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &only, sizeof only) != 0) ||
      bind(fd, name, address.length) != 0 || listen(fd, ToInt(info[3])) != 0) {
    const int error = -errno;
    close(fd);
    return Number(env, error);
  }
  return Number(env, fd);
}

// tcpSocket(family: 4 | 6): a descriptor or an error number
Napi::Value TcpSocket(const Napi::CallbackInfo& info) {
  const int fd = socket(ToInt(info[0]) == 6 ? AF_INET6 : AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  return Number(info.Env(), fd < 0 ? -errno : fd);
}

// udpBind(host, port, reusePort, ipv6Only): a descriptor or an error number
Napi::Value UdpBind(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  Address address;
  if (!Parse(info[0].As<Napi::String>(), ToInt(info[1]), &address)) return Number(env, -EINVAL);
  const int fd = socket(address.storage.ss_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return Number(env, -errno);
  const int on = 1;
  const int only = info[3].As<Napi::Boolean>().Value() ? 1 : 0;
  if ((info[2].As<Napi::Boolean>().Value() && setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof on) != 0) ||
      (address.storage.ss_family == AF_INET6 &&
       setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &only, sizeof only) != 0) ||
      bind(fd, reinterpret_cast<const sockaddr*>(&address.storage), address.length) != 0) {
    const int error = -errno;
    close(fd);
    return Number(env, error);
  }
  return Number(env, fd);
}

// unixListen(path, backlog): a listening descriptor or an error number
Napi::Value UnixListen(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  Address address;
  if (!ParsePath(info[0].As<Napi::String>(), &address)) return Number(env, -EINVAL);
  const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return Number(env, -errno);
  if (bind(fd, reinterpret_cast<const sockaddr*>(&address.storage), address.length) != 0 ||
      listen(fd, ToInt(info[1])) != 0) {
    const int error = -errno;
    close(fd);
    return Number(env, error);
  }
  return Number(env, fd);
}

// unixSocket(): a descriptor or an error number
Napi::Value UnixSocket(const Napi::CallbackInfo& info) {
  const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  return Number(info.Env(), fd < 0 ? -errno : fd);
}

// encodePath(path, target: Uint8Array of at least 110 bytes): bytes written, or -EINVAL
Napi::Value EncodePath(const Napi::CallbackInfo& info) {
  Address address;
  auto target = info[1].As<Napi::Uint8Array>();
  if (!ParsePath(info[0].As<Napi::String>(), &address) || target.ByteLength() < address.length) {
    return Number(info.Env(), -EINVAL);
  }
  memcpy(target.Data(), &address.storage, address.length);
  return Number(info.Env(), static_cast<int>(address.length));
}

// encodeAddress(host, port, target: Uint8Array of at least 28 bytes): bytes written, or -EINVAL
Napi::Value EncodeAddress(const Napi::CallbackInfo& info) {
  Address address;
  auto target = info[2].As<Napi::Uint8Array>();
  if (!Parse(info[0].As<Napi::String>(), ToInt(info[1]), &address) || target.ByteLength() < address.length) {
    return Number(info.Env(), -EINVAL);
  }
  memcpy(target.Data(), &address.storage, address.length);
  return Number(info.Env(), static_cast<int>(address.length));
}

template <int (*Call)(int, sockaddr*, socklen_t*)>
Napi::Value NameOf(const Napi::CallbackInfo& info) {
  Address address;
  address.length = sizeof address.storage;
  if (Call(ToInt(info[0]), reinterpret_cast<sockaddr*>(&address.storage), &address.length) != 0) {
    return Number(info.Env(), -errno);
  }
  return Describe(info.Env(), address);
}

int GetSockName(int fd, sockaddr* name, socklen_t* length) { return getsockname(fd, name, length); }
int GetPeerName(int fd, sockaddr* name, socklen_t* length) { return getpeername(fd, name, length); }

// setSocketOption(fd, level, name, value): 0 or a negative error number
Napi::Value SetSocketOption(const Napi::CallbackInfo& info) {
  const int value = ToInt(info[3]);
  const int result = setsockopt(ToInt(info[0]), ToInt(info[1]), ToInt(info[2]), &value, sizeof value);
  return Number(info.Env(), result == 0 ? 0 : -errno);
}

// getSocketOption(fd, level, name): its value (never negative for the options used), or an error number
Napi::Value GetSocketOption(const Napi::CallbackInfo& info) {
  int value = 0;
  socklen_t length = sizeof value;
  const int result = getsockopt(ToInt(info[0]), ToInt(info[1]), ToInt(info[2]), &value, &length);
  return Number(info.Env(), result == 0 ? value : -errno);
}

// setNoDelay(fd, on): 0 or a negative error number
Napi::Value SetNoDelay(const Napi::CallbackInfo& info) {
  const int on = info[1].As<Napi::Boolean>().Value() ? 1 : 0;
  const int result = setsockopt(ToInt(info[0]), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  return Number(info.Env(), result == 0 ? 0 : -errno);
}

// setLinger(fd, seconds): on with that many seconds, off when negative; 0 or an error number
Napi::Value SetLinger(const Napi::CallbackInfo& info) {
  const int seconds = ToInt(info[1]);
  const linger value{seconds >= 0 ? 1 : 0, seconds >= 0 ? seconds : 0};
  const int result = setsockopt(ToInt(info[0]), SOL_SOCKET, SO_LINGER, &value, sizeof value);
  return Number(info.Env(), result == 0 ? 0 : -errno);
}

// isReadable(fd): whether a read, or an accept on a listening socket, would not wait
Napi::Value IsReadable(const Napi::CallbackInfo& info) {
  pollfd one{ToInt(info[0]), POLLIN, 0};
  return Napi::Boolean::New(info.Env(), poll(&one, 1, 0) > 0);
}

}  // namespace

void ExportSocket(Napi::Env env, Napi::Object exports) {
  exports["tcpListen"] = Napi::Function::New<TcpListen>(env, "tcpListen");
  exports["tcpSocket"] = Napi::Function::New<TcpSocket>(env, "tcpSocket");
  exports["udpBind"] = Napi::Function::New<UdpBind>(env, "udpBind");
  exports["unixListen"] = Napi::Function::New<UnixListen>(env, "unixListen");
  exports["unixSocket"] = Napi::Function::New<UnixSocket>(env, "unixSocket");
  exports["encodePath"] = Napi::Function::New<EncodePath>(env, "encodePath");
  exports["encodeAddress"] = Napi::Function::New<EncodeAddress>(env, "encodeAddress");
  exports["socketName"] = Napi::Function::New<NameOf<GetSockName>>(env, "socketName");
  exports["peerName"] = Napi::Function::New<NameOf<GetPeerName>>(env, "peerName");
  exports["isReadable"] = Napi::Function::New<IsReadable>(env, "isReadable");
  exports["setSocketOption"] = Napi::Function::New<SetSocketOption>(env, "setSocketOption");
  exports["getSocketOption"] = Napi::Function::New<GetSocketOption>(env, "getSocketOption");
  exports["setNoDelay"] = Napi::Function::New<SetNoDelay>(env, "setNoDelay");
  exports["setLinger"] = Napi::Function::New<SetLinger>(env, "setLinger");
}

}  // namespace sunstar
