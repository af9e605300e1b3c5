import { CONTROL, native, type Ring, TAG } from '@sunstar/native';
import { SunstarError } from '../errors.js';
import { RingBuffer } from '../ring-buffer.js';
import { currentGroupId, DEFAULT_GROUP_ID, swapGroup } from '../scheduling/current-group.js';
import { DEFAULT_TASK_QUOTA_US } from '../scheduling/preempt.js';
import { threadScheduler } from '../scheduling/thread-scheduler.js';
import type { Backend } from './backend.js';
import { monotonicMs } from './clock.js';
import type { Completion } from './completion.js';
import { CompletionQueue, IGNORE_RESULT } from './completion-queue.js';
import { IORING_OP, IOSQE } from './constants.js';
import { Descriptors } from './descriptors.js';
import { InFlight } from './in-flight.js';
import type { OperationObserver, ReactorOptions, ReactorStats } from './options.js';
import { PromisePool } from './promise-pool.js';
import { Registrations } from './registrations.js';
import { ringRefused } from './requirements.js';
import { hostScheduler } from './scheduler-host.js';
import { SubmissionQueue } from './submission-queue.js';

/** Something that is asked for work in every tick. */
export interface Poller {
  /**
   * Does what there is to do, within bounds; called in every tick, in the default group.
   *
   * @returns How many things it ran itself, such as handlers; not those that it has posted to other groups.
   */
  poll(): number;
}

const POLLIN = 1;
const IORING_FEAT_CQE_SKIP = 1 << 11;
const IORING_SETUP_DEFER_TASKRUN = 1 << 13;
const TWO_32 = 4294967296;

/** The kernel's numbers for groups of provided buffers have 16 bits. */
const MAX_BUFFER_GROUPS = 65_536;

/**
 * The event loop of one shard. It writes submission entries into the ring and reads its
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
  /** Who serves the ring. */
  readonly backend: Backend;
  /** The native ring: for rings of provided buffers, and what it offers. */
  readonly ring: Ring;
  /** Memory and descriptors that the ring knows ahead. */
  readonly registrations: Registrations;
  /** The ring's own descriptor: where other shards post their wake-ups. */
  readonly ringFd: number;

  readonly #control: Int32Array;
  readonly #clock: Float64Array;
  readonly #idle: Float64Array;
  readonly #descriptorBits: Uint8Array;
  readonly #submissions: SubmissionQueue;
  readonly #completions: CompletionQueue;
  readonly #inFlight: InFlight;
  readonly #promises: PromisePool = new PromisePool();
  readonly #mayBeSilent: boolean;
  readonly #libuvFd: number;
  readonly #libuvPolled: Completion;
  readonly #pollers: Poller[] = [];
  readonly #deferred = new RingBuffer<Completion>();
  /** The milliseconds of the last turn, and those spent outside of the loop, by native code. */
  readonly #times: Float64Array;
  #outsideMs = 0;
  /** Whether the last turn was that of the pollers. */
  #polled = false;
  #submitted = 0;
  #bufferGroups = 0;

  constructor(options: ReactorOptions = {}) {
    this.backend = options.backend ?? 'io_uring';
    const description = native.createRing(
      options.submissionEntries ?? 1024,
      options.completionEntries ?? 8192,
      this.backend === 'emulated',
    );
    if (typeof description === 'number') throw ringRefused(description);
    this.ring = description.ring;
    this.registrations = new Registrations(description.ring);
    this.ringFd = description.fd;
    const queues = new Int32Array(description.queues);
    this.#inFlight = new InFlight(this.ring);
    this.#submissions = new SubmissionQueue(description, queues);
    this.#libuvPolled = {
      complete: () => {
        this.#control[CONTROL.LIBUV_ARMED] = 0;
        this.#control[CONTROL.LIBUV_READY] = 1;
      },
    };
    this.#completions = new CompletionQueue(
      description,
      queues,
      this.#submissions,
      this.#inFlight,
      this.#libuvPolled,
    );
    this.#control = new Int32Array(description.control);
    this.#clock = new Float64Array(description.control, CONTROL.NOW_MS * 4, 1);
    this.#idle = new Float64Array(description.control, CONTROL.IDLE_MS * 4, 1);
    this.#descriptorBits = new Uint8Array(description.descriptors);
    this.descriptors = new Descriptors(this.#descriptorBits);
    this.zeroCopy = new Descriptors(new Uint8Array(description.zeroCopy));
    // The second is for the kernel's age: up to Linux 6.0 a send that failed half-way did not say how far it had come.
    this.#mayBeSilent =
      (description.features & IORING_FEAT_CQE_SKIP) !== 0 &&
      (description.flags & IORING_SETUP_DEFER_TASKRUN) !== 0;
    this.#times = new Float64Array(description.control, CONTROL.TURN_MS * 4, 2);
    this.#clock[0] = monotonicMs();
    this.idlePollUs = options.idlePollUs ?? 0;
    const quotaUs = options.taskQuotaUs ?? DEFAULT_TASK_QUOTA_US;
    threadScheduler.moveTo(hostScheduler(description, this.#inFlight, quotaUs), quotaUs);
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
      backend: this.backend,
      inFlight: this.#inFlight.operations.size,
      submitted: this.#submitted,
      completed: this.#submitted - this.#inFlight.operations.size,
      ticks: control[CONTROL.TICKS] >>> 0,
      sleeps: control[CONTROL.SLEEPS] >>> 0,
      enters: control[CONTROL.ENTERS] >>> 0,
      wakeUps: this.#completions.wakeUps,
      idleMs: this.#idle[0],
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
    this.#inFlight.hold();
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
   * Like {@link submit}, for an operation that never waits: it is over, or has failed, when the kernel has taken it
   * (`MSG_DONTWAIT`). Its success leaves no completion behind, and wakes nobody: `complete(result, 0)` is called in the
   * next tick, or before Node's event loop is left alone with a sleeping shard. Only a failure, or what the kernel
   * counts as one, comes by itself. So it saves a tick where nobody waits for the result; who does calls
   * {@link requestTick} as well.
   *
   * @param result - That of its success.
   */
  submitAtOnce(
    completion: Completion,
    opcode: number,
    fd: number,
    address: number,
    length: number,
    opFlags: number,
    result: number,
  ): number {
    if (!this.#mayBeSilent) return this.submit(completion, opcode, fd, address, length, 0, opFlags);
    this.#inFlight.hold();
    this.#submissions.reserve();
    const id = this.#inFlight.operations.add(completion, TAG.AT_ONCE, currentGroupId());
    this.#submissions.push(
      id,
      TAG.AT_ONCE,
      opcode,
      fd,
      address,
      length,
      0,
      opFlags,
      IOSQE.CQE_SKIP_SUCCESS,
      0,
      0,
    );
    this.#submitted++;
    this.#completions.expectAtOnce(id, result);
    this.#inFlight.observer?.submitted(id, opcode, this.#clock[0]);
    return id;
  }

  /**
   * Gives what was submitted to the kernel now instead of at the end of the tick, and fetches what has completed.
   * Costs a system call: for operations of a device that would otherwise idle until the tick is over.
   *
   * @param atLeast - Nothing happens while fewer operations wait to be given.
   */
  submitNow(atLeast = 1): void {
    // Whatever the kernel does not take now is still queued at the end of the tick.
    if (this.#submissions.pending >= atLeast) this.ring.enter(0);
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
    const { operations } = this.#inFlight;
    if (!operations.has(operationId)) return;
    this.#inFlight.hold();
    const target = operationId + operations.tagOf(operationId) * TWO_32;
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
    if (threadScheduler.grouped) {
      threadScheduler.defer(task);
      return;
    }
    this.#inFlight.hold();
    this.#deferred.push(task);
    if (!this.#inFlight.ticking) this.#control[CONTROL.MORE] = 1;
  }

  /** Has a poller asked for work in every tick. */
  addPoller(poller: Poller): void {
    this.#pollers.push(poller);
  }

  /** Has an observer told of every operation from now on; there is one. */
  observe(observer: OperationObserver): void {
    this.#inFlight.observer = observer;
  }

  /** See {@link Ring.watch}: words through which other threads give this one work. */
  watch(words: Int32Array, pairs: Int32Array, sleeping: number): void {
    this.ring.watch(words, pairs, sleeping);
  }

  /** A number for a group of provided buffers that nobody else of this ring has; never given twice. */
  allocateBufferGroup(): number {
    if (this.#bufferGroups === MAX_BUFFER_GROUPS) {
      throw new SunstarError(
        'SUNSTAR_TOO_MANY_BUFFER_GROUPS',
        `All ${MAX_BUFFER_GROUPS} numbers for groups of provided buffers of this shard are taken. Keep groups for longer.`,
      );
    }
    return this.#bufferGroups++;
  }

  /** Makes the tick run again before this thread sleeps. */
  requestTick(): void {
    this.#control[CONTROL.MORE] = 1;
  }

  /** Posts a wake-up into another shard's ring. */
  wake(ringFd: number): void {
    this.#inFlight.hold();
    this.#fill(IGNORE_RESULT, IORING_OP.MSG_RING, ringFd, 0, 0, TAG.WAKE * TWO_32, 0, 0, 0, 0);
  }

  /** Keeps the event loop alive, like an operation in flight, until {@link unref}. */
  ref(): void {
    this.#inFlight.hold();
  }

  /** Ends one {@link ref}. */
  unref(): void {
    this.#inFlight.release();
    if (!this.#inFlight.ticking) this.#rest();
  }

  /** Lets the event loop end although operations are in flight: for the end of a shard. */
  [Symbol.dispose](): void {
    this.#inFlight.end();
  }

  /** Lets the event loop end if nothing is in flight. */
  #rest(): void {
    const inFlight = this.#inFlight;
    if (!inFlight.isIdle) return;
    // They are over: the next tick will find them so.
    if (inFlight.atOnce.count > 0) this.#control[CONTROL.MORE] = 1;
    else inFlight.rest();
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
    this.#submissions.reserve();
    const tag =
      opcode === IORING_OP.ACCEPT ||
      opcode === IORING_OP.OPENAT ||
      opcode === IORING_OP.OPENAT2 ||
      opcode === IORING_OP.SOCKET
        ? TAG.DESCRIPTOR
        : 0;
    const id = this.#inFlight.operations.add(completion, tag, currentGroupId());
    this.#submissions.push(
      id,
      tag,
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
    this.#submitted++;
    this.#inFlight.observer?.submitted(id, opcode, this.#clock[0]);
    return id;
  }

  #tick(): void {
    this.#inFlight.ticking = true;
    const control = this.#control;
    try {
      if (control[CONTROL.LIBUV_ARMED] === 0) this.#armLibuv();
      if (threadScheduler.grouped) {
        this.#groupTick();
      } else {
        this.#completions.reap();
        this.#poll();
        if (this.#deferred.size > 0) this.#runDeferred();
        if (threadScheduler.hasWork) threadScheduler.runUngrouped();
      }
    } catch (error) {
      // The rest of the work is still there for the next tick.
      control[CONTROL.MORE] = 1;
      queueMicrotask(() => {
        throw error;
      });
    }
    this.#inFlight.ticking = false;
    this.#rest();
  }

  /** A tick of one group: what it settles continues before the next tick begins. */
  #groupTick(): void {
    const times = this.#times;
    const outsideMs = times[1];
    if (this.#control[CONTROL.GROUPED] === 0) {
      this.#control[CONTROL.GROUPED] = 1;
      this.#outsideMs = outsideMs;
    }
    threadScheduler.endTurn(times[0]);
    if (outsideMs !== this.#outsideMs) threadScheduler.chargeDefault(outsideMs - this.#outsideMs);
    this.#outsideMs = outsideMs;
    swapGroup(DEFAULT_GROUP_ID);
    // From before there were groups.
    while (this.#deferred.size > 0) {
      this.#inFlight.release();
      threadScheduler.defer(this.#deferred.shift());
    }
    this.#completions.reapForGroups();
    // Every other turn at most is that of the pollers: who floods them does not starve the groups.
    this.#polled = (!this.#polled || !threadScheduler.hasWork) && this.#poll() > 0;
    if (this.#polled) threadScheduler.beginDefaultTurn();
    else threadScheduler.runNext();
  }

  #poll(): number {
    let ran = 0;
    for (let i = 0; i < this.#pollers.length; i++) ran += this.#pollers[i].poll();
    return ran;
  }

  /** Without this poll the rest of Node (timers apart) would not wake the thread. */
  #armLibuv(): void {
    this.#control[CONTROL.LIBUV_READY] = 0;
    this.#control[CONTROL.LIBUV_ARMED] = 1;
    this.#fill(this.#libuvPolled, IORING_OP.POLL_ADD, this.#libuvFd, 0, 0, 0, POLLIN, 0, 0, 0);
  }

  #runDeferred(): void {
    const tasks = this.#deferred;
    // What they defer is for the next tick.
    for (let left = tasks.size; left > 0; left--) {
      this.#inFlight.release();
      tasks.shift().complete(0, 0);
    }
    if (tasks.size > 0) this.#control[CONTROL.MORE] = 1;
  }
}
