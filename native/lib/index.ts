import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';

/**
 * The ring of one thread, served by the kernel or emulated in user space. It lives until its thread ends: then native code cancels and
 * waits for what is in flight, closes the descriptors marked in {@link RingDescription.descriptors}
 * and unmaps everything.
 */
export interface Ring {
  /**
   * Submits what is in the submission queue and collects completions.
   *
   * @param minComplete - How many completions to wait for; 0 never blocks.
   * @returns How many entries were submitted, or a negative error number.
   */
  enter(minComplete: number): number;
  /**
   * Makes the ring the place where this thread waits: `tick` runs whenever there is work.
   *
   * @returns libuv's backend descriptor, which the ring must poll for the rest of Node to work.
   */
  start(tick: () => void): number;
  /**
   * Names the words that other threads write to give this thread work.
   *
   * @param words - A view of shared memory.
   * @param pairs - Indexes into `words`: tail, head, tail, head …; there is work while one pair differs.
   * @param sleeping - Index of the word that is 1 while this thread sleeps in the kernel.
   */
  watch(words: Int32Array, pairs: Int32Array, sleeping: number): void;
  /**
   * Has the monitor's thread report turns that last longer than a threshold, see {@link Native.onStall}.
   *
   * @param thresholdMs - 0 switches the detection off.
   * @param reportsPerMinute - How many stalls are reported with a stack; the end of each one is reported.
   */
  detectStalls(thresholdMs: number, reportsPerMinute: number): void;
  /** Keeps the event loop alive. */
  ref(): void;
  /** Lets the event loop end. */
  unref(): void;
  /** One byte for each operation code, 1 where the kernel supports it; or a negative error number. */
  probe(): Uint8Array | number;
  /**
   * Registers a ring of provided buffers; returns its memory, or a negative error number. Each buffer of an incremental
   * one takes one piece of data behind the other until it is full; kernels before 6.12 answer `-EINVAL`.
   */
  registerBufferRing(groupId: number, entryCount: number, isIncremental?: boolean): ArrayBuffer | number;
  /** 0 or a negative error number. */
  unregisterBufferRing(groupId: number): number;
  /** Registers memory for fixed operations, as pairs of address and length; 0 or a negative error number. */
  registerBuffers(pieces: Float64Array): number;
  /** Registers a table of descriptors, −1 where a place is free; 0 or a negative error number. */
  registerFiles(descriptors: Int32Array): number;
  /** Puts a descriptor, or −1, in one place of the table; 0 or a negative error number. */
  updateRegisteredFile(slot: number, descriptor: number): number;
}

/** What the kernel's rings offer. */
export interface RingSupport {
  /** `IORING_FEAT_*` flags. */
  readonly features: number;
  /** One byte for each operation code, 1 where the kernel supports it; or a negative error number. */
  readonly operations: Uint8Array | number;
}

/** A ring as `createRing` made it; indexes count 32-bit words of `queues`. */
export interface RingDescription {
  readonly ring: Ring;
  readonly fd: number;
  /** `IORING_SETUP_*` flags that the kernel accepted. */
  readonly flags: number;
  /** `IORING_FEAT_*` flags. */
  readonly features: number;
  readonly sqEntries: number;
  readonly cqEntries: number;
  readonly sqHead: number;
  readonly sqTail: number;
  readonly cqHead: number;
  readonly cqTail: number;
  readonly cqes: number;
  /** Both queues' heads, tails and the completion entries. */
  readonly queues: ArrayBuffer;
  /** The submission entries, 64 bytes each. */
  readonly entries: ArrayBuffer;
  /** Words shared by the thread's native and TypeScript halves, see {@link CONTROL}. */
  readonly control: ArrayBuffer;
  /** One bit for each descriptor number that this thread owns and that teardown closes. */
  readonly descriptors: ArrayBuffer;
  /** One bit for each of them with zero-copy sends whose memory the kernel may still read. */
  readonly zeroCopy: ArrayBuffer;
}

/** What the kernel knows of a TCP connection; what it does not report is 0. */
export interface TcpInfo {
  /** By the kernel's numbers: 1 is established. */
  readonly state: number;
  readonly rttUs: number;
  readonly rttVarianceUs: number;
  readonly minRttUs: number;
  readonly retransmissionTimeoutUs: number;
  readonly congestionWindowSegments: number;
  readonly segmentBytes: number;
  readonly unacknowledgedSegments: number;
  readonly lostSegments: number;
  readonly totalRetransmissions: number;
  readonly bytesAcknowledged: number;
  readonly bytesReceived: number;
  readonly bytesSent: number;
  /** Accepted by the kernel and not sent yet. */
  readonly unsentBytes: number;
  readonly deliveryRateBytesPerSecond: number;
  /** How long there was something to send, and how much of that the peer's window or our buffer held it up. */
  readonly busyUs: number;
  readonly receiveWindowLimitedUs: number;
  readonly sendBufferLimitedUs: number;
}

/** An address of a socket. */
export interface SocketAddress {
  /** Of a Unix socket: its path, its abstract name with a leading zero byte, or empty. */
  readonly address: string;
  readonly port: number;
  readonly family: 4 | 6 | 'unix';
}

/** What O_DIRECT needs on a file; zeros where the file does not support it. */
export interface DirectIoAlignment {
  readonly memoryBytes: number;
  readonly offsetBytes: number;
}

/** One call on a JavaScript stack. */
export interface StackFrame {
  /** Empty for a function without a name. */
  readonly function: string;
  /** URL or path of the script; empty where there is none. */
  readonly file: string;
  /** Counted from 1. */
  readonly line: number;
  /** Counted from 1. */
  readonly column: number;
}

/** What the monitor's thread found out about a turn that lasts too long. */
export interface StallEvent {
  /**
   * `running`: the stack was taken while JavaScript ran. `native`: the thread is inside native code (a
   * synchronous call, a collection of garbage) and cannot tell its stack. `returned`: the stack is the first
   * that could be taken after that. `ended`: the turn is over; sent for every stall, reported or not.
   */
  readonly kind: 'running' | 'native' | 'returned' | 'ended';
  /** The ring of the thread. */
  readonly ringFd: number;
  /** The scheduling group that ran, as TypeScript wrote it into the control words. */
  readonly group: number;
  /** How long the turn had lasted. */
  readonly elapsedMs: number;
  /** How much of it the thread had been on a CPU; −1 when unknown. */
  readonly cpuMs: number;
  /** The innermost call first, at most 32. */
  readonly frames: readonly StackFrame[];
}

/** Every call of the addon. Numbers in, numbers out; a negative result is an error number. */
export interface Native {
  /**
   * Makes the ring of the calling thread, or says why the kernel refused. Both counts are powers of two.
   * `isEmulated` has native code serve it in the kernel's place.
   */
  readonly createRing: (entries: number, cqEntries: number, isEmulated: boolean) => RingDescription | number;
  /** What a ring of the kernel would offer, or a negative error number with which it refuses. */
  readonly probeRing: () => RingSupport | number;
  /** Address of the first byte of a view, SharedArrayBuffers included; exact, because addresses have 47 bits. */
  readonly addressOf: (bytes: Uint8Array) => number;
  /** A non-shared ArrayBuffer over the memory of a view, which it does not keep alive. */
  readonly aliasOf: (bytes: Uint8Array) => ArrayBuffer;
  /** Asks the kernel to back page-aligned memory with huge pages, or not to. */
  readonly adviseHugePages: (bytes: Uint8Array, wanted: boolean) => number;
  /** What O_DIRECT needs on an open file; undefined where kernel or file system do not tell (before Linux 6.1). */
  readonly directIoAlignment: (fd: number) => DirectIoAlignment | undefined | number;
  /** Takes the exclusive advisory lock of an open file, or fails at once with `EWOULDBLOCK`. */
  readonly tryLock: (fd: number) => number;
  /** Gives that lock up; 0 or a negative error number. */
  readonly unlock: (fd: number) => number;
  /**
   * Sets an advisory lock on a range of an open file, or removes it, without waiting: 0 shared, 1 exclusive, 2 none.
   * Length 0 means everything from `start` on. `EAGAIN` when another open file has one that excludes it.
   */
  readonly lockRange: (fd: number, type: 0 | 1 | 2, start: number, length: number) => number;
  /** Has the file system allocate in units of so many bytes; `EOPNOTSUPP` on those that cannot (all but xfs). */
  readonly setExtentHint: (fd: number, sizeBytes: number) => number;
  /** Bytes that an unprivileged writer may still use on the file system of an open file. */
  readonly freeDiskBytes: (fd: number) => number;
  /** Sets the size of a file; blocks. For kernels before 6.9, which have no ring operation. */
  readonly truncate: (fd: number, sizeBytes: number) => number;
  /** Closes a descriptor; blocks. */
  readonly closeDescriptor: (fd: number) => number;
  /** A listening TCP socket on a numeric address; with `reusePort` others may listen on the same port. */
  readonly tcpListen: (
    host: string,
    port: number,
    reusePort: boolean,
    backlog: number,
    ipv6Only: boolean,
  ) => number;
  /** A TCP socket to connect with. */
  readonly tcpSocket: (family: 4 | 6) => number;
  /** A UDP socket on a numeric address; with `reusePort` others may bind the same port. */
  readonly udpBind: (host: string, port: number, reusePort: boolean, ipv6Only: boolean) => number;
  /** A listening Unix stream socket at a path, or with a leading zero byte an abstract name. */
  readonly unixListen: (path: string, backlog: number) => number;
  /** A Unix stream socket to connect with. */
  readonly unixSocket: () => number;
  /** Writes the `sockaddr` of a path or abstract name into `target`, 110 bytes suffice; returns its length. */
  readonly encodePath: (path: string, target: Uint8Array) => number;
  /** What the kernel knows of a TCP connection. */
  readonly tcpInfo: (fd: number) => TcpInfo | number;
  /** Writes the `sockaddr` of a numeric address into `target`, 28 bytes suffice; returns its length. */
  readonly encodeAddress: (host: string, port: number, target: Uint8Array) => number;
  /** The local address of a socket. */
  readonly socketName: (fd: number) => SocketAddress | number;
  /** Whether a read, or an accept on a listening socket, would not wait. */
  readonly isReadable: (fd: number) => boolean;
  /** The remote address of a socket. */
  readonly peerName: (fd: number) => SocketAddress | number;
  /** Sets an option whose value is an int, by the kernel's numbers of level and name. */
  readonly setSocketOption: (fd: number, level: number, name: number, value: number) => number;
  /** Reads an option whose value is an int that is never negative. */
  readonly getSocketOption: (fd: number, level: number, name: number) => number;
  /** Switches Nagle's algorithm off (`on`) or back on. */
  readonly setNoDelay: (fd: number, on: boolean) => number;
  /** Has close() wait up to so many seconds for unsent data; 0 resets the connection, negative is the default. */
  readonly setLinger: (fd: number, seconds: number) => number;
  /**
   * Takes notifications of `MSG_ZEROCOPY` from a socket's error queue: three words each, first and last number of
   * the sends and a code (1: the kernel copied). Returns how many; as many as fit means that there may be more.
   */
  readonly readZeroCopyNotifications: (fd: number, ranges: Uint32Array) => number;
  /** Resets a connection but keeps its descriptor, with whatever notifications are still to come. */
  readonly disconnect: (fd: number) => number;
  /** Ends both directions of a socket, the output after what is waiting. */
  readonly shutDown: (fd: number) => number;
  /** How many bytes the processes of this user may lock in memory together; −1 is any number. */
  readonly lockedMemoryLimit: () => number;
  /** A blocking Unix stream socket to a path; what is read or written on it fails after the time. */
  readonly unixConnect: (path: string, timeoutMs: number) => number;
  /** The user id of the process at the other end of a Unix socket. */
  readonly peerUser: (fd: number) => number;
  /** Sends bytes over a Unix socket, with a descriptor unless that is −1; returns how many bytes were sent. */
  readonly sendDescriptor: (socket: number, fd: number, bytes: Uint8Array) => number;
  /**
   * Waits until all of `bytes` are filled from a Unix socket. Returns the descriptor that came along, −1 without one,
   * and −1000 less an error number when that failed.
   */
  readonly receiveDescriptor: (socket: number, bytes: Uint8Array) => number;
  /** Another descriptor of the same open file, closed on exec. */
  readonly duplicateDescriptor: (fd: number) => number;
  /** The CPUs that the calling thread may run on, in order. */
  readonly allowedCpus: () => number[] | number;
  /** Lets the calling thread run on these CPUs only. */
  readonly pinThread: (cpus: readonly number[]) => number;
  /**
   * Has a function called on this thread for the stalls of every thread of the process. Once for each thread; does
   * not keep its event loop alive. Returns 0 or a negative error number.
   */
  readonly onStall: (listener: (event: StallEvent) => void) => number;
  /** Whether this Node.js lets a stalled thread's stack be taken. */
  readonly canTakeStacks: boolean;
  /**
   * The CRC-32C of `bytes[start, end)` by the processor's instruction, continuing `seed`; −1 for a range that is not
   * in the array. Absent where the processor has none (SSE4.2, ARMv8 CRC).
   */
  readonly crc32c?: (bytes: Uint8Array, start: number, end: number, seed: number) => number;
  /**
   * Copies pieces of memory, pairs of address and length, behind each other to `target[at…]`. Returns the number of
   * bytes; −1 when they do not fit. Like `find` it reads any address it is given: the caller vouches for them.
   */
  readonly gather: (pieces: Float64Array, count: number, target: Uint8Array, at: number) => number;
  /** Where a sequence that is not empty begins first in pieces of memory, taken as one; −1 when nowhere. */
  readonly find: (pieces: Float64Array, count: number, needle: Uint8Array) => number;
}

/** Indexes of the words in {@link RingDescription.control}. */
export const CONTROL = {
  /** TypeScript sets 1: run tick again before the thread sleeps. */
  MORE: 0,
  /** How long to look for work before the thread sleeps, in microseconds. */
  IDLE_POLL_US: 1,
  /** TypeScript sets 1 when the poll of libuv's descriptor completed. */
  LIBUV_READY: 2,
  /** 1 while such a poll is in flight. */
  LIBUV_ARMED: 3,
  /** Completions that TypeScript has taken, stored before their callback runs. */
  CQ_HEAD: 4,
  /** How many of them ended their operation. */
  FINALS: 5,
  /** Counters, wrapping at 32 bits. */
  TICKS: 6,
  SLEEPS: 7,
  ENTERS: 8,
  /** Two words: the monotonic clock in milliseconds as a double, read when a turn begins (see TURN). */
  NOW_MS: 10,
  /** Changes when native code starts JavaScript and when it hands over to libuv. */
  TURN: 12,
  /** 1 once the running turn has lasted longer than its quota; the monitor's thread sets it. */
  PREEMPT: 13,
  /** 1 while the thread sleeps, or polls because it has nothing to do. */
  ASLEEP: 14,
  /** TypeScript writes the scheduling group that runs. */
  GROUP: 15,
  /** How long a turn may last before PREEMPT, in microseconds; 500 at first. */
  QUOTA_US: 16,
  /** TypeScript sets 1: measure turns, for there are groups to share the time. */
  GROUPED: 17,
  /** Two words: how long the last turn took in milliseconds, with what it submitted, as a double; when GROUPED. */
  TURN_MS: 18,
  /** Two words: the milliseconds that libuv and its callbacks took in all, as a double. */
  OUTSIDE_MS: 20,
  /** Two words: how long the thread has been asleep (see ASLEEP) in all, in milliseconds as a double. */
  IDLE_MS: 22,
  /** Operations that are over at once (see {@link TAG}) whose result TypeScript has not looked at. */
  AT_ONCE: 24,
} as const;

/** The upper half of an operation's user data. */
export const TAG = {
  /** The result is a new descriptor when it is not negative. */
  DESCRIPTOR: 1,
  /** A wake-up that another ring posted here. */
  WAKE: 2,
  /** Over when the kernel has taken it; completes only if it failed. */
  AT_ONCE: 4,
} as const;

function load(): Native {
  const require = createRequire(import.meta.url);
  const root = fileURLToPath(new URL('..', import.meta.url));
  const loadAddon = require('node-gyp-build') as (directory: string) => Native;
  return loadAddon(root);
}

/** The loaded addon. Its low-level calls are wrapped by the packages above; use those. */
export const native: Native = load();

/** Address of a view's first byte, SharedArrayBuffers included. */
export const addressOf: Native['addressOf'] = native.addressOf;

/** A non-shared ArrayBuffer over the same memory, which it does not keep alive. */
export const aliasOf: Native['aliasOf'] = native.aliasOf;
