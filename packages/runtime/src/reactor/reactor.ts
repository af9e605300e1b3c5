import { CONTROL, native, type Ring, TAG } from '@sunstar/native';
import { SunstarError } from '../errors.js';
import {
  currentGroupId,
  DEFAULT_GROUP_ID,
  keepCurrentGroupIn,
  swapGroup,
} from '../scheduling/current-group.js';
import { DEFAULT_TASK_QUOTA_US, watchTurns } from '../scheduling/preempt.js';
import type { SchedulerHost } from '../scheduling/scheduler.js';
import { threadScheduler } from '../scheduling/thread-scheduler.js';
import { AtOnceList } from './at-once.js';
import type { Backend } from './backend.js';
import { monotonicMs } from './clock.js';
import type { Completion } from './completion.js';
import { IORING_CQE_F, IORING_OP, IOSQE } from './constants.js';
import { Descriptors } from './descriptors.js';
import { OperationTable } from './operation-table.js';
import type { OperationObserver, ReactorOptions, ReactorStats } from './options.js';
import { PromisePool } from './promise-pool.js';
import { ringRefused } from './requirements.js';
import { SubmissionQueue } from './submission-queue.js';
import { TaskList } from './task-list.js';

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
/** How many completions are taken before their places are given back to the kernel. */
const PUBLISH_EVERY = 64;
/** Completions that wait for their groups' turns; more are left in the kernel's queue. */
const MAX_WAITING = 262_144;
const MIN_TASK_QUOTA_US = 50;
const MAX_TASK_QUOTA_US = 100_000;

/** The kernel's numbers for groups of provided buffers have 16 bits. */
const MAX_BUFFER_GROUPS = 65_536;

/** Completions that end nothing which native code waits for at the end of the thread. */
const UNCOUNTED = TAG.WAKE | TAG.AT_ONCE;

const IGNORE_RESULT: Completion = { complete() {} };

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
  /** The native ring: for registrations (buffers) by the packages above. */
  readonly ring: Ring;
  /** The ring's own descriptor: where other shards post their wake-ups. */
  readonly ringFd: number;

  readonly #queues: Int32Array;
  readonly #control: Int32Array;
  readonly #clock: Float64Array;
  readonly #idle: Float64Array;
  readonly #descriptorBits: Uint8Array;
  readonly #cqMask: number;
  readonly #cqHeadAt: number;
  readonly #cqTailAt: number;
  readonly #cqesAt: number;
  readonly #submissions: SubmissionQueue;
  readonly #operations = new OperationTable();
  readonly #promises: PromisePool = new PromisePool();
  readonly #atOnce = new AtOnceList();
  readonly #mayBeSilent: boolean;
  #atOnceMs = 0;
  readonly #libuvFd: number;
  readonly #libuvPolled: Completion;
  readonly #pollers: Poller[] = [];
  readonly #deferred = new TaskList();
  /** The milliseconds of the last turn, and those spent outside of the loop, by native code. */
  readonly #times: Float64Array;
  #observer: OperationObserver | undefined;
  #outsideMs = 0;
  /** Whether the last turn was that of the pollers. */
  #polled = false;
  #submitted = 0;
  #wakeUps = 0;
  #bufferGroups = 0;
  #keepAlive = 0;
  #referenced = false;
  #ticking = false;

  constructor(options: ReactorOptions = {}) {
    this.backend = options.backend ?? 'io_uring';
    const description = native.createRing(
      options.submissionEntries ?? 1024,
      options.completionEntries ?? 8192,
      this.backend === 'emulated',
    );
    if (typeof description === 'number') throw ringRefused(description);
    this.ring = description.ring;
    this.ringFd = description.fd;
    this.#queues = new Int32Array(description.queues);
    this.#submissions = new SubmissionQueue(description, this.#queues);
    this.#control = new Int32Array(description.control);
    this.#clock = new Float64Array(description.control, CONTROL.NOW_MS * 4, 1);
    this.#idle = new Float64Array(description.control, CONTROL.IDLE_MS * 4, 1);
    this.#descriptorBits = new Uint8Array(description.descriptors);
    this.descriptors = new Descriptors(this.#descriptorBits);
    this.zeroCopy = new Descriptors(new Uint8Array(description.zeroCopy));
    this.#cqMask = description.cqEntries - 1;
    // The second is for the kernel's age: up to Linux 6.0 a send that failed half-way did not say how far it had come.
    this.#mayBeSilent =
      (description.features & IORING_FEAT_CQE_SKIP) !== 0 &&
      (description.flags & IORING_SETUP_DEFER_TASKRUN) !== 0;
    this.#cqHeadAt = description.cqHead;
    this.#cqTailAt = description.cqTail;
    this.#cqesAt = description.cqes;
    this.#times = new Float64Array(description.control, CONTROL.TURN_MS * 4, 2);
    this.#clock[0] = monotonicMs();
    this.idlePollUs = options.idlePollUs ?? 0;
    this.#libuvPolled = {
      complete: () => {
        this.#control[CONTROL.LIBUV_ARMED] = 0;
        this.#control[CONTROL.LIBUV_READY] = 1;
      },
    };
    this.#schedule(options.taskQuotaUs ?? DEFAULT_TASK_QUOTA_US);
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
      inFlight: this.#operations.size,
      submitted: this.#submitted,
      completed: this.#submitted - this.#operations.size,
      ticks: control[CONTROL.TICKS] >>> 0,
      sleeps: control[CONTROL.SLEEPS] >>> 0,
      enters: control[CONTROL.ENTERS] >>> 0,
      wakeUps: this.#wakeUps,
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
    if (this.#keepAlive++ === 0 && !this.#referenced) this.#reference();
    this.#submissions.reserve();
    const id = this.#operations.add(completion, TAG.AT_ONCE, currentGroupId());
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
    this.#atOnce.add(id, result);
    this.#atOnceMs = this.#clock[0];
    this.#control[CONTROL.AT_ONCE]++;
    if (this.#observer !== undefined) this.#observer.submitted(id, opcode, this.#clock[0]);
    return id;
  }

  /**
   * Gives what was submitted to the kernel now instead of at the end of the tick, and fetches what has completed.
   * Costs a system call: for operations of a device that would otherwise idle until the tick is over.
   */
  submitNow(): void {
    // Whatever the kernel does not take now is still queued at the end of the tick.
    this.ring.enter(0);
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
    if (threadScheduler.grouped) {
      threadScheduler.defer(task);
      return;
    }
    if (this.#keepAlive++ === 0 && !this.#referenced) this.#reference();
    this.#deferred.push(task);
    if (!this.#ticking) this.#control[CONTROL.MORE] = 1;
  }

  /** Has a poller asked for work in every tick. */
  addPoller(poller: Poller): void {
    this.#pollers.push(poller);
  }

  /** Has an observer told of every operation from now on; there is one. */
  observe(observer: OperationObserver): void {
    this.#observer = observer;
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
    this.#keepAlive++;
    this.#fill(IGNORE_RESULT, IORING_OP.MSG_RING, ringFd, 0, 0, TAG.WAKE * TWO_32, 0, 0, 0, 0);
  }

  /** Keeps the event loop alive, like an operation in flight, until {@link unref}. */
  ref(): void {
    if (this.#keepAlive++ === 0 && !this.#referenced) this.#reference();
  }

  /** Ends one {@link ref}. */
  unref(): void {
    this.#keepAlive--;
    if (!this.#ticking) this.#rest();
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

  /** Lets the event loop end if nothing is in flight. */
  #rest(): void {
    const { count } = this.#atOnce;
    if (this.#keepAlive > count) return;
    // They are over: the next tick will find them so.
    if (count > 0) this.#control[CONTROL.MORE] = 1;
    else if (this.#keepAlive === 0) this.#dereference();
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
    this.#submissions.reserve();
    const tag =
      opcode === IORING_OP.ACCEPT ||
      opcode === IORING_OP.OPENAT ||
      opcode === IORING_OP.OPENAT2 ||
      opcode === IORING_OP.SOCKET
        ? TAG.DESCRIPTOR
        : 0;
    const id = this.#operations.add(completion, tag, currentGroupId());
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
    if (this.#observer !== undefined) this.#observer.submitted(id, opcode, this.#clock[0]);
    return id;
  }

  #tick(): void {
    this.#ticking = true;
    const control = this.#control;
    try {
      if (control[CONTROL.LIBUV_ARMED] === 0) this.#armLibuv();
      if (threadScheduler.grouped) {
        this.#groupTick();
      } else {
        this.#reap();
        this.#poll();
        if (this.#deferred.count > 0) this.#runDeferred();
        if (threadScheduler.hasWork) threadScheduler.runUngrouped();
      }
    } catch (error) {
      // The rest of the work is still there for the next tick.
      control[CONTROL.MORE] = 1;
      queueMicrotask(() => {
        throw error;
      });
    }
    this.#ticking = false;
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
    while (this.#deferred.count > 0) {
      this.#keepAlive--;
      threadScheduler.defer(this.#deferred.shift());
    }
    this.#reapForGroups();
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

  #reap(): void {
    const queues = this.#queues;
    const control = this.#control;
    const tail = Atomics.load(queues, this.#cqTailAt);
    let head = control[CONTROL.CQ_HEAD];
    const over = ((tail - head) | 0) <= this.#cqMask ? this.#countOver() : 0;
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
      if (ended && (tag & UNCOUNTED) === 0) control[CONTROL.FINALS]++;
      control[CONTROL.CQ_HEAD] = head;
      if ((head & (PUBLISH_EVERY - 1)) === 0) Atomics.store(queues, this.#cqHeadAt, head);
      if (wakeUp) {
        this.#wakeUps++;
        continue;
      }
      const completion = this.#operations.get(id);
      if (ended) {
        if (this.#observer !== undefined) this.#observer.completed(id, this.#clock[0]);
        this.#operations.remove(id);
        if (completion !== this.#libuvPolled) this.#keepAlive--;
      }
      completion.complete(result, flags);
    }
    Atomics.store(queues, this.#cqHeadAt, head);
    if (this.#atOnce.count > 0) this.#settle(over);
  }

  /**
   * How many operations are over at once by now, so that the failures among them are in the completion queue, or
   * behind it when it is full. What is submitted while the queue is reaped does not count, even if the kernel takes
   * it meanwhile: its failures come later.
   */
  #countOver(): number {
    return this.#submissions.isTaken ? this.#atOnce.count : 0;
  }

  /** Ends so many operations that were over at once, the oldest: those that had failed have been reaped. */
  #settle(count: number): void {
    const list = this.#atOnce;
    const operations = this.#operations;
    if (list.count > count) this.#control[CONTROL.MORE] = 1;
    for (let left = count; left > 0; left--) {
      const { id, result } = list;
      list.shift();
      this.#control[CONTROL.AT_ONCE]--;
      if (!operations.has(id) || operations.tagOf(id) !== TAG.AT_ONCE) continue;
      // It was over at the end of the tick that queued it, however long this thread has slept since.
      if (this.#observer !== undefined) this.#observer.completed(id, this.#atOnceMs);
      if (threadScheduler.grouped) {
        operations.setTag(id, 0);
        threadScheduler.postCompletion(operations.groupOf(id), id, result, 0);
        continue;
      }
      const completion = operations.get(id);
      operations.remove(id);
      this.#keepAlive--;
      completion.complete(result, 0);
    }
  }

  /** {@link #reap} for more than one group: nobody is called yet. */
  #reapForGroups(): void {
    const queues = this.#queues;
    const control = this.#control;
    const tail = Atomics.load(queues, this.#cqTailAt);
    let head = control[CONTROL.CQ_HEAD];
    const over = ((tail - head) | 0) <= this.#cqMask ? this.#countOver() : 0;
    while (head !== tail && threadScheduler.waiting < MAX_WAITING) {
      const at = this.#cqesAt + ((head & this.#cqMask) << 2);
      const id = queues[at];
      const tag = queues[at + 1];
      const result = queues[at + 2];
      const flags = queues[at + 3];
      head = (head + 1) | 0;
      if ((tag & TAG.DESCRIPTOR) !== 0 && result >= 0)
        this.#descriptorBits[result >>> 3] |= 1 << (result & 7);
      const wakeUp = (tag & TAG.WAKE) !== 0;
      // See #reap.
      if ((flags & IORING_CQE_F.MORE) === 0 && (tag & UNCOUNTED) === 0) control[CONTROL.FINALS]++;
      control[CONTROL.CQ_HEAD] = head;
      if (wakeUp) {
        this.#wakeUps++;
        continue;
      }
      const completion = this.#operations.get(id);
      if (this.#observer !== undefined && (flags & IORING_CQE_F.MORE) === 0) {
        this.#observer.completed(id, this.#clock[0]);
      }
      if (completion === this.#libuvPolled) {
        this.#operations.remove(id);
        completion.complete(result, flags);
      } else if (completion === IGNORE_RESULT) {
        this.#operations.remove(id);
        this.#keepAlive--;
      } else {
        completion.arrived?.(result);
        if ((tag & TAG.AT_ONCE) !== 0) this.#operations.setTag(id, 0);
        threadScheduler.postCompletion(this.#operations.groupOf(id), id, result, flags);
      }
    }
    Atomics.store(queues, this.#cqHeadAt, head);
    if (this.#atOnce.count > 0) this.#settle(head === tail ? over : 0);
  }

  /** Becomes the event loop of the thread's scheduling groups. */
  #schedule(taskQuotaUs: number): void {
    if (!(taskQuotaUs >= MIN_TASK_QUOTA_US && taskQuotaUs <= MAX_TASK_QUOTA_US)) {
      throw new SunstarError(
        'SUNSTAR_INVALID_OPTION',
        `\`taskQuotaUs\` is ${taskQuotaUs}; give ${MIN_TASK_QUOTA_US} to ${MAX_TASK_QUOTA_US} microseconds.`,
      );
    }
    const control = this.#control;
    control[CONTROL.QUOTA_US] = taskQuotaUs;
    keepCurrentGroupIn(control, CONTROL.GROUP);
    const aheadMs = monotonicMs() - performance.now();
    watchTurns({
      control,
      preemptAt: CONTROL.PREEMPT,
      turn: this.#clock,
      aheadMs,
      quotaMs: taskQuotaUs / 1000,
    });
    const host: SchedulerHost = {
      nowMs: () => performance.now() + aheadMs,
      requestTurn: () => {
        control[CONTROL.MORE] = 1;
      },
      deliver: (id, result, flags) => {
        const completion = this.#operations.get(id);
        if ((flags & IORING_CQE_F.MORE) === 0) {
          this.#operations.remove(id);
          host.unref();
        }
        completion.complete(result, flags);
      },
      ref: () => this.ref(),
      unref: () => {
        // Within microtasks there will often be a next one: the tick that follows looks.
        if (--this.#keepAlive <= this.#atOnce.count && !this.#ticking) control[CONTROL.MORE] = 1;
      },
    };
    threadScheduler.moveTo(host, taskQuotaUs);
  }

  #runDeferred(): void {
    const tasks = this.#deferred;
    // What they defer is for the next tick.
    for (let left = tasks.count; left > 0; left--) {
      this.#keepAlive--;
      tasks.shift().complete(0, 0);
    }
    if (tasks.count > 0) this.#control[CONTROL.MORE] = 1;
  }
}
