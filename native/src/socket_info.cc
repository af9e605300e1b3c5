// What the kernel knows of a TCP connection. Apart from socket.cc: <linux/tcp.h> and <netinet/tcp.h> exclude each other.
#include <linux/tcp.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <cerrno>

#include "exports.h"

namespace sunstar {
namespace {

// tcpInfo(fd): an object, or a negative error number. What the kernel does not report is 0.
Napi::Value TcpInfo(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  tcp_info tcp{};
  socklen_t length = sizeof tcp;
  if (getsockopt(info[0].As<Napi::Number>().Int32Value(), IPPROTO_TCP, TCP_INFO, &tcp, &length) != 0) {
    return Napi::Number::New(env, -errno);
  }
  auto result = Napi::Object::New(env);
  const auto set = [&](const char* name, double value) { result[name] = Napi::Number::New(env, value); };
  set("state", tcp.tcpi_state);
  set("rttUs", tcp.tcpi_rtt);
  set("rttVarianceUs", tcp.tcpi_rttvar);
  set("minRttUs", tcp.tcpi_min_rtt);
  set("retransmissionTimeoutUs", tcp.tcpi_rto);
  set("congestionWindowSegments", tcp.tcpi_snd_cwnd);
  set("segmentBytes", tcp.tcpi_snd_mss);
  set("unacknowledgedSegments", tcp.tcpi_unacked);
  set("lostSegments", tcp.tcpi_lost);
  set("totalRetransmissions", tcp.tcpi_total_retrans);
  set("bytesAcknowledged", static_cast<double>(tcp.tcpi_bytes_acked));
  set("bytesReceived", static_cast<double>(tcp.tcpi_bytes_received));
  set("bytesSent", static_cast<double>(tcp.tcpi_bytes_sent));
  set("unsentBytes", tcp.tcpi_notsent_bytes);
  set("deliveryRateBytesPerSecond", static_cast<double>(tcp.tcpi_delivery_rate));
  set("busyUs", static_cast<double>(tcp.tcpi_busy_time));
  set("receiveWindowLimitedUs", static_cast<double>(tcp.tcpi_rwnd_limited));
  set("sendBufferLimitedUs", static_cast<double>(tcp.tcpi_sndbuf_limited));
  return result;
}

}  // namespace

void ExportSocketInfo(Napi::Env env, Napi::Object exports) {
  exports["tcpInfo"] = Napi::Function::New<TcpInfo>(env, "tcpInfo");
}

}  // namespace sunstar
