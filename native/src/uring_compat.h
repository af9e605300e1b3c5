// <linux/io_uring.h>, with what the headers of Linux 5.15 do not have yet: the addon is built on old machines, too.
// Constants that are macros are defined under their own names where they are missing; others have names of ours.
#pragma once

#include <linux/io_uring.h>
#include <linux/time_types.h>

#include <cstdint>

#ifndef IOSQE_CQE_SKIP_SUCCESS
#define IOSQE_CQE_SKIP_SUCCESS (1U << 6)
#endif
#ifndef IORING_FEAT_CQE_SKIP
#define IORING_FEAT_CQE_SKIP (1U << 11)
#endif
#ifndef IORING_SETUP_SUBMIT_ALL
#define IORING_SETUP_SUBMIT_ALL (1U << 7)
#endif
#ifndef IORING_SETUP_COOP_TASKRUN
#define IORING_SETUP_COOP_TASKRUN (1U << 8)
#endif
#ifndef IORING_SETUP_TASKRUN_FLAG
#define IORING_SETUP_TASKRUN_FLAG (1U << 9)
#endif
#ifndef IORING_SETUP_SINGLE_ISSUER
#define IORING_SETUP_SINGLE_ISSUER (1U << 12)
#endif
#ifndef IORING_SETUP_DEFER_TASKRUN
#define IORING_SETUP_DEFER_TASKRUN (1U << 13)
#endif
#ifndef IORING_SQ_TASKRUN
#define IORING_SQ_TASKRUN (1U << 2)
#endif
#ifndef IORING_CQE_F_SOCK_NONEMPTY
#define IORING_CQE_F_SOCK_NONEMPTY (1U << 2)
#endif
#ifndef IORING_TIMEOUT_ETIME_SUCCESS
#define IORING_TIMEOUT_ETIME_SUCCESS (1U << 5)
#endif
#ifndef IORING_ACCEPT_MULTISHOT
#define IORING_ACCEPT_MULTISHOT (1U << 0)
#endif
#ifndef IORING_RECVSEND_POLL_FIRST
#define IORING_RECVSEND_POLL_FIRST (1U << 0)
#endif
#ifndef IORING_RECV_MULTISHOT
#define IORING_RECV_MULTISHOT (1U << 1)
#endif
#ifndef IORING_ASYNC_CANCEL_ALL
#define IORING_ASYNC_CANCEL_ALL (1U << 0)
#define IORING_ASYNC_CANCEL_FD (1U << 1)
#define IORING_ASYNC_CANCEL_ANY (1U << 2)
#endif
#ifndef IORING_ASYNC_CANCEL_USERDATA
#define IORING_ASYNC_CANCEL_USERDATA (1U << 4)
#define IORING_ASYNC_CANCEL_OP (1U << 5)
#endif

namespace sunstar {

constexpr uint8_t kOpMsgRing = 40;
constexpr uint8_t kOpSocket = 45;
constexpr uint8_t kOpFtruncate = 55;

// Where a message to another ring has its kind: this one posts a completion.
constexpr uint64_t kMessageData = 0;

// IORING_REGISTER_IOWQ_MAX_WORKERS
constexpr uint32_t kRegisterWorkers = 19;
constexpr uint32_t kRegisterBufferRing = 22;
constexpr uint32_t kUnregisterBufferRing = 23;
// In `flags` of the registration: each buffer is used up bit by bit.
constexpr uint16_t kBufferRingIncremental = 2;
// In a completion: the rest of the provided buffer is still with the kernel.
constexpr uint32_t kCompletionBufferMore = 16;
constexpr uint32_t kRegisterSyncCancel = 24;

// struct io_uring_buf
struct ProvidedBuffer {
  uint64_t addr;
  uint32_t len;
  uint16_t bid;
  uint16_t resv;  // of the first one: the ring's tail
};

// struct io_uring_buf_reg
struct BufferRingRegistration {
  uint64_t ring_addr;
  uint32_t ring_entries;
  uint16_t bgid;
  uint16_t flags;
  uint64_t resv[3];
};

// struct io_uring_sync_cancel_reg
struct SyncCancel {
  uint64_t addr;
  int32_t fd;
  uint32_t flags;
  __kernel_timespec timeout;
  uint8_t opcode;
  uint8_t pad[7];
  uint64_t pad2[3];
};

// struct io_uring_recvmsg_out
struct ReceivedMessage {
  uint32_t namelen;
  uint32_t controllen;
  uint32_t payloadlen;
  uint32_t flags;
};

static_assert(sizeof(ProvidedBuffer) == 16 && sizeof(BufferRingRegistration) == 40 && sizeof(SyncCancel) == 64);

}  // namespace sunstar
