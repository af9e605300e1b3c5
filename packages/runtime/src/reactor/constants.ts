/** Operation codes of io_uring, by the names of `linux/io_uring.h`. */
export const IORING_OP = {
  NOP: 0,
  READV: 1,
  WRITEV: 2,
  FSYNC: 3,
  READ_FIXED: 4,
  WRITE_FIXED: 5,
  POLL_ADD: 6,
  POLL_REMOVE: 7,
  SENDMSG: 9,
  RECVMSG: 10,
  TIMEOUT: 11,
  TIMEOUT_REMOVE: 12,
  ACCEPT: 13,
  ASYNC_CANCEL: 14,
  LINK_TIMEOUT: 15,
  CONNECT: 16,
  FALLOCATE: 17,
  OPENAT: 18,
  CLOSE: 19,
  STATX: 21,
  READ: 22,
  WRITE: 23,
  FADVISE: 24,
  MADVISE: 25,
  SEND: 26,
  RECV: 27,
  OPENAT2: 28,
  SPLICE: 30,
  SHUTDOWN: 34,
  RENAMEAT: 35,
  UNLINKAT: 36,
  MKDIRAT: 37,
  SYMLINKAT: 38,
  LINKAT: 39,
  MSG_RING: 40,
  SOCKET: 45,
  URING_CMD: 46,
  SEND_ZC: 47,
  SENDMSG_ZC: 48,
  FTRUNCATE: 55,
} as const;

/** Flags of a submission entry. */
export const IOSQE = {
  FIXED_FILE: 1,
  /** Starts only after everything submitted before it has finished. */
  IO_DRAIN: 2,
  /** The next entry starts only when this one has succeeded. */
  IO_LINK: 4,
  IO_HARDLINK: 8,
  ASYNC: 16,
  /** The kernel takes a buffer from the group named in the entry. */
  BUFFER_SELECT: 32,
  CQE_SKIP_SUCCESS: 64,
} as const;

/** Flags of a completion. */
export const IORING_CQE_F = {
  /** A provided buffer was used; its id is in the upper 16 bits. */
  BUFFER: 1,
  /** More completions of this operation follow. */
  MORE: 2,
  SOCK_NONEMPTY: 4,
  /** The notification of a zero-copy send: the memory may be reused. */
  NOTIF: 8,
  /** The rest of the provided buffer is still with the kernel (incremental consumption). */
  BUF_MORE: 16,
} as const;

/** Flags in `ioprio` of SEND, RECV and ACCEPT. */
export const IORING_RECVSEND = {
  POLL_FIRST: 1,
  RECV_MULTISHOT: 2,
  ACCEPT_MULTISHOT: 1,
} as const;

/** Flags in `opFlags` of FSYNC. */
export const IORING_FSYNC_DATASYNC = 1;

/** `dirfd` for paths relative to the current directory. */
export const AT_FDCWD = -100;
