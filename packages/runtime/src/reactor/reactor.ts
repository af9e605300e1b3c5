import { CONTROL, native, type Ring, TAG } from '@sunstar/native';
import { SunstarError, systemError } from '../errors.js';
import { monotonicMs } from './clock.js';
import type { Completion } from './completion.js';
import { IORING_CQE_F, IORING_OP } from './constants.js';
import { Descriptors } from './descriptors.js';
import { OperationTable } from './operation-table.js';
import type { ReactorOptions, ReactorStats } from './options.js';
import { PromisePool } from './promise-pool.js';
import { checkRing, ringRefused } from './requirements.js';

/** Something that is asked for work in every tick. */
export interface Poller {
  /** Does what there is to do, within bounds; called in every tick, before the deferred tasks. */
  poll(): void;
}

const POLLIN = 1;
const WORDS_PER_ENTRY = 16;
const TWO_32 = 4294967296;
/** How many completions are taken before their places are given back to the kernel. */
const PUBLISH_EVERY = 64;

const IGNORE_RESULT: Completion = { complete() {} };

/**
 * The event loop of one shard. It writes submission entries into the kernel's ring and reads its
 * completions with typed arrays; native code calls {@link Reactor} only to say "there is work", and
 * waits when there is none. Everything runs on the thread that made the reactor.
 *
 * After Seastar's reactor; there the kernel is reached through C++, here through mapped memory.
 */
export class Reactor implements Disposable {
  /** The descriptors that this thread closes when it ends. */
  readonly descriptors: Descriptors;
  /** Those of them with zero-copy sends in flight: the end of the thread waits for, or disconnects, their peers. */
  readonly zeroCopy: Descriptors;
  /** The native ring: for registrations (buffers) by the packages above. */
  readonly ring: Ring;
  /** The ring's own descriptor: where other shards post their wake-ups. */
  readonly ringFd: number;

  readonly #queues: Int32Array;
  readonly #entries: Int32Array;
  readonly #control: Int32Array;
  readonly #clock: Float64Array;
  readonly #descriptorBits: Uint8Array;
  readonly #sqMask: number;
  readonly #cqMask: number;
  readonly #sqHeadAt: number;
  readonly #sqTailAt: number;
  readonly #cqHeadAt: number;
  readonly #cqTailAt: number;
  readonly #cqesAt: number;
  readonly #operations = new OperationTable();
  readonly #promises: PromisePool = new PromisePool();
  readonly #libuvFd: number;
  readonly #libuvPolled: Completion;
  readonly #pollers: Poller[] = [];
  #deferred: Completion[] = [];
  #deferring: Completion[] = [];
  #sqTail = 0;
  #submitted = 0;
  #wakeUps = 0;
  #keepAlive = 0;
  #referenced = false;
  #ticking = false;

  constructor(options: ReactorOptions = {}) {
    const description = native.createRing(
      options.submissionEntries ?? 1024,
      options.completionEntries ?? 8192,
    );
    if (typeof description === 'number') throw ringRefused(description);
    checkRing(description);
    this.ring = description.ring;
    this.ringFd = description.fd;
    this.#queues = new Int32Array(description.queues);
    this.#entries = new Int32Array(description.entries);
    this.#control = new Int32Array(description.control);
    this.#clock = new Float64Array(description.control, CONTROL.NOW_MS * 4, 1);
    this.#descriptorBits = new Uint8Array(description.descriptors);
    this.descriptors = new Descriptors(this.#descriptorBits);
    this.zeroCopy = new Descriptors(new Uint8Array(description.zeroCopy));
    this.#sqMask = description.sqEntries - 1;
    this.#cqMask = description.cqEntries - 1;
    this.#sqHeadAt = description.sqHead;
    this.#sqTailAt = description.sqTail;
    this.#cqHeadAt = description.cqHead;
    this.#cqTailAt = description.cqTail;
    this.#cqesAt = description.cqes;
    this.#clock[0] = monotonicMs();
    this.idlePollUs = options.idlePollUs ?? 0;
    this.#libuvPolled = {
      complete: () => {
        this.#control[CONTROL.LIBUV_ARMED] = 0;
        this.#control[CONTROL.LIBUV_READY] = 1;
      },
    };
    this.#libuvFd = this.ring.start(() => this.#tick());
  }

  /** How long an idle thread looks for work before it sleeps, in microseconds; 0 sleeps at once. */
  get idlePollUs(): number {
    return this.#control[CONTROL.IDLE_POLL_US];
  }

  set idlePollUs(value: number) {
    this.#control[CONTROL.IDLE_POLL_US] = value;
  }

  /**
   * A coarse monotonic clock in milliseconds (CLOCK_MONOTONIC), read once before each tick. Outside of
   * ticks, in a timer of Node's for example, it stands still: do not compute deadlines from it there.
   */
  get nowMs(): number {
    return this.#clock[0];
  }

  /** A snapshot of the counters. */
  get stats(): ReactorStats {
    const control = this.#control;
    return {
      inFlight: this.#operations.size,
      submitted: this.#submitted,
      completed: this.#submitted - this.#operations.size,
      ticks: control[CONTROL.TICKS] >>> 0,
      sleeps: control[CONTROL.SLEEPS] >>> 0,
      enters: control[CONTROL.ENTERS] >>> 0,
      wakeUps: this.#wakeUps,
    };
  }

  /**
   * Queues one operation; it is submitted at the end of the tick, together with all others. While it
   * is in flight it keeps the event loop alive, and its memory and descriptor must stay valid.
   *
   * @param completion - Gets the result.
   * @param opcode - {@link IORING_OP}
   * @param fd - The descriptor it works on.
   * @param address - Absolute address of its memory, or the operation's `addr` field.
   * @param length - Bytes, or the operation's `len` field.
   * @param offset - Position in the file, or the operation's `off` field.
   * @param opFlags - Flags of the operation (`rw_flags`, `msg_flags`, `fsync_flags` …).
   * @param sqeFlags - {@link IOSQE}
   * @param ioprio - Priority, or the flags that some operations keep there.
   * @param bufferGroup - Group of provided buffers, or index of a registered one.
   * @returns The operation's id for {@link cancel}.
   * @throws SunstarError `SUNSTAR_TOO_MANY_OPERATIONS`, `SUNSTAR_RING_FULL`
   */
  submit(
    completion: Completion,
    opcode: number,
    fd: number,
    address: number,
    length: number,
    offset: number,
    opFlags = 0,
    sqeFlags = 0,
    ioprio = 0,
    bufferGroup = 0,
  ): number {
    if (this.#keepAlive++ === 0 && !this.#referenced) this.#reference();
    return this.#fill(
      completion,
      opcode,
      fd,
      address,
      length,
      offset,
      opFlags,
      sqeFlags,
      ioprio,
      bufferGroup,
    );
  }

  /**
   * Like {@link submit}, with a promise.
   *
   * @param syscall - Its name for the error, for example `fdatasync`.
   * @throws SystemError when the result is negative.
   */
  run(
    syscall: string,
    opcode: number,
    fd: number,
    address: number,
    length: number,
    offset: number,
    opFlags = 0,
    sqeFlags = 0,
    ioprio = 0,
  ): Promise<number> {
    const operation = this.#promises.take(syscall);
    const promise = operation.promise;
    this.submit(operation, opcode, fd, address, length, offset, opFlags, sqeFlags, ioprio);
    return promise;
  }

  /**
   * Asks the kernel to end an operation early. The operation completes in any case: with
   * `-ECANCELED`, or with its own result if that came first. An unknown id is ignored.
   */
  cancel(operationId: number): void {
    if (!this.#operations.has(operationId)) return;
    this.#keepAlive++;
    const target = operationId + this.#operations.tagOf(operationId) * TWO_32;
    this.#fill(IGNORE_RESULT, IORING_OP.ASYNC_CANCEL, -1, target, 0, 0, 0, 0, 0, 0);
  }

  /** Closes a descriptor without waiting for it. */
  close(fd: number): void {
    this.submit(IGNORE_RESULT, IORING_OP.CLOSE, fd, 0, 0, 0);
    // Written here and not in a call: a thread that is terminated in between would close it twice.
    this.#descriptorBits[fd >>> 3] &= ~(1 << (fd & 7));
  }

  /** Closes a descriptor; resolves when the kernel has. */
  closeAndWait(fd: number): Promise<number> {
    const promise = this.run('close', IORING_OP.CLOSE, fd, 0, 0, 0);
    this.#descriptorBits[fd >>> 3] &= ~(1 << (fd & 7));
    return promise;
  }

  /**
   * Calls `task.complete(0, 0)` once, at the end of the running tick or in the next one, before the
   * operations are submitted: the place to gather what a tick produced (one send for many writes). Keeps
   * the event loop alive until then.
   */
  defer(task: Completion): void {
    if (this.#keepAlive++ === 0 && !this.#referenced) this.#reference();
    this.#deferred.push(task);
    if (!this.#ticking) this.#control[CONTROL.MORE] = 1;
  }

  /** Has a poller asked for work in every tick. */
  addPoller(poller: Poller): void {
    this.#pollers.push(poller);
  }

  /** See {@link Ring.watch}: words through which other threads give this one work. */
  watch(words: Int32Array, pairs: Int32Array, sleeping: number): void {
    this.ring.watch(words, pairs, sleeping);
  }

  /** Makes the tick run again before this thread sleeps. */
  requestTick(): void {
    this.#control[CONTROL.MORE] = 1;
  }

  /** Posts a wake-up into another shard's ring. */
  wake(ringFd: number): void {
    this.#keepAlive++;
    this.#fill(IGNORE_RESULT, IORING_OP.MSG_RING, ringFd, 0, 0, TAG.WAKE * TWO_32, 0, 0, 0, 0);
  }

  /** Keeps the event loop alive, like an operation in flight, until {@link unref}. */
  ref(): void {
    if (this.#keepAlive++ === 0 && !this.#referenced) this.#reference();
  }

  /** Ends one {@link ref}. */
  unref(): void {
    if (--this.#keepAlive === 0 && !this.#ticking) this.#dereference();
  }

  /** Lets the event loop end although operations are in flight: for the end of a shard. */
  [Symbol.dispose](): void {
    this.#keepAlive = Number.NEGATIVE_INFINITY;
    this.#dereference();
  }

  #reference(): void {
    this.#referenced = true;
    this.ring.ref();
  }

  #dereference(): void {
    if (!this.#referenced) return;
    this.#referenced = false;
    this.ring.unref();
  }

  #fill(
    completion: Completion,
    opcode: number,
    fd: number,
    address: number,
    length: number,
    offset: number,
    opFlags: number,
    sqeFlags: number,
    ioprio: number,
    bufferGroup: number,
  ): number {
    const tail = this.#sqTail;
    if (((tail - this.#queues[this.#sqHeadAt]) | 0) > this.#sqMask) this.#makeRoom();
    const tag =
      opcode === IORING_OP.ACCEPT ||
      opcode === IORING_OP.OPENAT ||
      opcode === IORING_OP.OPENAT2 ||
      opcode === IORING_OP.SOCKET
        ? TAG.DESCRIPTOR
        : 0;
    const id = this.#operations.add(completion, tag);
    const entries = this.#entries;
    const at = (tail & this.#sqMask) * WORDS_PER_ENTRY;
    entries[at] = opcode | (sqeFlags << 8) | (ioprio << 16);
    entries[at + 1] = fd;
    entries[at + 2] = offset >>> 0;
    entries[at + 3] = Math.floor(offset / TWO_32);
    entries[at + 4] = address >>> 0;
    entries[at + 5] = Math.floor(address / TWO_32);
    entries[at + 6] = length;
    entries[at + 7] = opFlags;
    entries[at + 8] = id;
    entries[at + 9] = tag;
    entries[at + 10] = bufferGroup;
    entries[at + 11] = 0;
    entries[at + 12] = 0;
    entries[at + 13] = 0;
    entries[at + 14] = 0;
    entries[at + 15] = 0;
    this.#sqTail = (tail + 1) | 0;
    // The kernel reads the tail only inside an enter of this same thread: no barrier is needed.
    this.#queues[this.#sqTailAt] = this.#sqTail;
    this.#submitted++;
    return id;
  }

  #makeRoom(): void {
    const result = this.ring.enter(0);
    if (((this.#sqTail - this.#queues[this.#sqHeadAt]) | 0) <= this.#sqMask) return;
    throw new SunstarError(
      'SUNSTAR_RING_FULL',
      `The submission queue is full and the kernel takes no more (${systemError('io_uring_enter', Math.min(result, -1)).message}) ` +
        'Bound the concurrency of the caller.',
    );
  }

  #tick(): void {
    this.#ticking = true;
    const control = this.#control;
    try {
      if (control[CONTROL.LIBUV_ARMED] === 0) this.#armLibuv();
      this.#reap();
      for (let i = 0; i < this.#pollers.length; i++) this.#pollers[i].poll();
      if (this.#deferred.length > 0) this.#runDeferred();
    } catch (error) {
      // The rest of the work is still there for the next tick.
      control[CONTROL.MORE] = 1;
      queueMicrotask(() => {
        throw error;
      });
    }
    this.#ticking = false;
    if (this.#keepAlive === 0) this.#dereference();
  }

  /** Without this poll the rest of Node (timers apart) would not wake the thread. */
  #armLibuv(): void {
    this.#control[CONTROL.LIBUV_READY] = 0;
    this.#control[CONTROL.LIBUV_ARMED] = 1;
    this.#fill(this.#libuvPolled, IORING_OP.POLL_ADD, this.#libuvFd, 0, 0, 0, POLLIN, 0, 0, 0);
  }

  #reap(): void {
    const queues = this.#queues;
    const control = this.#control;
    const tail = Atomics.load(queues, this.#cqTailAt);
    let head = control[CONTROL.CQ_HEAD];
    while (head !== tail) {
      const at = this.#cqesAt + ((head & this.#cqMask) << 2);
      const id = queues[at];
      const tag = queues[at + 1];
      const result = queues[at + 2];
      const flags = queues[at + 3];
      head = (head + 1) | 0;
      if ((tag & TAG.DESCRIPTOR) !== 0 && result >= 0)
        this.#descriptorBits[result >>> 3] |= 1 << (result & 7);
      const ended = (flags & IORING_CQE_F.MORE) === 0;
      const wakeUp = (tag & TAG.WAKE) !== 0;
      // These two without a call in between, and before any other: a thread is terminated at calls, and
      // native code then goes on from exactly here.
      if (ended && !wakeUp) control[CONTROL.FINALS]++;
      control[CONTROL.CQ_HEAD] = head;
      if ((head & (PUBLISH_EVERY - 1)) === 0) Atomics.store(queues, this.#cqHeadAt, head);
      if (wakeUp) {
        this.#wakeUps++;
        continue;
      }
      const completion = this.#operations.get(id);
      if (ended) {
        this.#operations.remove(id);
        if (completion !== this.#libuvPolled) this.#keepAlive--;
      }
      completion.complete(result, flags);
    }
    Atomics.store(queues, this.#cqHeadAt, head);
  }

  #runDeferred(): void {
    const tasks = this.#deferred;
    this.#deferred = this.#deferring;
    this.#deferring = tasks;
    let i = 0;
    try {
      while (i < tasks.length) tasks[i++].complete(0, 0);
    } finally {
      this.#keepAlive -= i;
      // One that threw must not take the others with it.
      for (; i < tasks.length; i++) this.#deferred.push(tasks[i]);
      tasks.length = 0;
    }
    if (this.#deferred.length > 0) this.#control[CONTROL.MORE] = 1;
  }
}
