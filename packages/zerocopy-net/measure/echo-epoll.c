// The least that an echo server of framed messages can do: for each readable socket that epoll reports one recv and one
// send, each message parsed. Argument: the port. Prints "ready". For echo-layers.mjs.
#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum { kBufferBytes = 65536, kMaxDescriptors = 65536, kMaxPayloadBytes = 65536, kHeaderBytes = 4 };

// The beginning of a message whose rest has not come.
static struct {
  char bytes[kHeaderBytes + kMaxPayloadBytes];
  size_t length;
} *rest[kMaxDescriptors];

static char buffer[2 * kBufferBytes + kHeaderBytes];

static void Fail(const char* what) {
  perror(what);
  exit(1);
}

// Where the first incomplete message begins.
static size_t Parse(const char* bytes, size_t length) {
  size_t at = 0;
  while (length - at >= kHeaderBytes) {
    int32_t payload = 0;
    memcpy(&payload, bytes + at, sizeof payload);
    if (payload < 0 || payload > kMaxPayloadBytes) exit(2);
    if (at + kHeaderBytes + (size_t)payload > length) break;
    at += kHeaderBytes + (size_t)payload;
  }
  return at;
}

static void Serve(int fd) {
  const size_t before = rest[fd] == NULL ? 0 : rest[fd]->length;
  if (before > 0) memcpy(buffer, rest[fd]->bytes, before);
  const ssize_t received = recv(fd, buffer + before, kBufferBytes, 0);
  if (received <= 0) {
    free(rest[fd]);
    rest[fd] = NULL;
    close(fd);
    return;
  }
  const size_t length = before + (size_t)received;
  const size_t end = Parse(buffer, length);
  if (end < length || before > 0) {
    if (rest[fd] == NULL && (rest[fd] = calloc(1, sizeof *rest[fd])) == NULL) Fail("calloc");
    rest[fd]->length = length - end;
    memcpy(rest[fd]->bytes, buffer + end, length - end);
  }
  for (size_t at = 0; at < end;) {
    const ssize_t sent = send(fd, buffer + at, end - at, MSG_NOSIGNAL);
    if (sent < 0) return;
    at += (size_t)sent;
  }
}

int main(int argc, char** argv) {
  if (argc != 2) return 2;
  const int listener = socket(AF_INET, SOCK_STREAM, 0);
  const int on = 1;
  setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(argv[1]))};
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (bind(listener, (struct sockaddr*)&address, sizeof address) != 0 || listen(listener, 511) != 0) Fail("listen");
  const int epoll = epoll_create1(0);
  struct epoll_event event = {.events = EPOLLIN, .data.fd = listener};
  epoll_ctl(epoll, EPOLL_CTL_ADD, listener, &event);
  puts("ready");
  fflush(stdout);
  for (;;) {
    struct epoll_event events[256];
    const int count = epoll_wait(epoll, events, 256, -1);
    for (int i = 0; i < count; i++) {
      if (events[i].data.fd != listener) {
        Serve(events[i].data.fd);
        continue;
      }
      const int fd = accept(listener, NULL, NULL);
      if (fd < 0) continue;
      if (fd >= kMaxDescriptors) {
        close(fd);
        continue;
      }
      setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
      event.data.fd = fd;
      epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event);
    }
  }
}
