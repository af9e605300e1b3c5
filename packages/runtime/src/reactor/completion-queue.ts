import { CONTROL, type RingDescription, TAG } from '@sunstar/native';
import { threadScheduler } from '../scheduling/thread-scheduler.js';
import type { Completion } from './completion.js';
import { IORING_CQE_F } from './constants.js';
import type { InFlight } from './in-flight.js';
import type { SubmissionQueue } from './submission-queue.js';

/** How many completions are taken before their places are given back to the kernel. */
const PUBLISH_EVERY = 64;
/** Completions that wait for their groups' turns; more are left in the kernel's queue. */
const MAX_WAITING = 262_144;
/** Completions that end nothing which native code waits for at the end of the thread. */
const UNCOUNTED = TAG.WAKE | TAG.AT_ONCE;

/** For operations whose result nobody needs. */
export const IGNORE_RESULT: Completion = { complete() {} };

/** The kernel's completion queue, read with typed arrays, and the operations that end without an entry in it. */
export class CompletionQueue {
  readonly #queues: Int32Array;
  readonly #control: Int32Array;
  readonly #clock: Float64Array;
  readonly #descriptorBits: Uint8Array;
  readonly #mask: number;
  readonly #headAt: number;
  readonly #tailAt: number;
  readonly #entriesAt: number;
  readonly #submissions: SubmissionQueue;
  readonly #inFlight: InFlight;
  readonly #libuvPolled: Completion;
  #wakeUps = 0;
  #atOnceMs = 0;

  /** @param libuvPolled - The reactor's own poll, which is in flight all the time and keeps nothing alive. */
  constructor(
    description: RingDescription,
    queues: Int32Array,
    submissions: SubmissionQueue,
    inFlight: InFlight,
    libuvPolled: Completion,
  ) {
    this.#queues = queues;
    this.#control = new Int32Array(description.control);
    this.#clock = new Float64Array(description.control, CONTROL.NOW_MS * 4, 1);
    this.#descriptorBits = new Uint8Array(description.descriptors);
    this.#mask = description.cqEntries - 1;
    this.#headAt = description.cqHead;
    this.#tailAt = description.cqTail;
    this.#entriesAt = description.cqes;
    this.#submissions = submissions;
    this.#inFlight = inFlight;
    this.#libuvPolled = libuvPolled;
  }

  /** How often another shard woke this one. */
  get wakeUps(): number {
    return this.#wakeUps;
  }

  /** An operation is queued that says nothing when it succeeds: it is over at the end of this tick. */
  expectAtOnce(id: number, result: number): void {
    this.#inFlight.atOnce.add(id, result);
    this.#atOnceMs = this.#clock[0];
    this.#control[CONTROL.AT_ONCE]++;
  }

  /** Hands every result to whoever waits for it. */
  reap(): void {
    const queues = this.#queues;
    const control = this.#control;
    const inFlight = this.#inFlight;
    const { operations, observer } = inFlight;
    const tail = Atomics.load(queues, this.#tailAt);
    let head = control[CONTROL.CQ_HEAD];
    const over = ((tail - head) | 0) <= this.#mask ? this.#countOver() : 0;
    while (head !== tail) {
      const at = this.#entriesAt + ((head & this.#mask) << 2);
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
      if ((head & (PUBLISH_EVERY - 1)) === 0) Atomics.store(queues, this.#headAt, head);
      if (wakeUp) {
        this.#wakeUps++;
        continue;
      }
      const completion = operations.get(id);
      if (ended) {
        if (observer !== undefined) observer.completed(id, this.#clock[0]);
        operations.remove(id);
        if (completion !== this.#libuvPolled) inFlight.release();
      }
      completion.complete(result, flags);
    }
    Atomics.store(queues, this.#headAt, head);
    if (inFlight.atOnce.count > 0) this.#settle(over);
  }

  /** {@link reap} for more than one group: nobody is called yet. */
  reapForGroups(): void {
    const queues = this.#queues;
    const control = this.#control;
    const inFlight = this.#inFlight;
    const { operations, observer } = inFlight;
    const tail = Atomics.load(queues, this.#tailAt);
    let head = control[CONTROL.CQ_HEAD];
    const over = ((tail - head) | 0) <= this.#mask ? this.#countOver() : 0;
    while (head !== tail && threadScheduler.waiting < MAX_WAITING) {
      const at = this.#entriesAt + ((head & this.#mask) << 2);
      const id = queues[at];
      const tag = queues[at + 1];
      const result = queues[at + 2];
      const flags = queues[at + 3];
      head = (head + 1) | 0;
      if ((tag & TAG.DESCRIPTOR) !== 0 && result >= 0)
        this.#descriptorBits[result >>> 3] |= 1 << (result & 7);
      const ended = (flags & IORING_CQE_F.MORE) === 0;
      const wakeUp = (tag & TAG.WAKE) !== 0;
      // See reap().
      if (ended && (tag & UNCOUNTED) === 0) control[CONTROL.FINALS]++;
      control[CONTROL.CQ_HEAD] = head;
      if (wakeUp) {
        this.#wakeUps++;
        continue;
      }
      const completion = operations.get(id);
      if (ended && observer !== undefined) observer.completed(id, this.#clock[0]);
      if (completion === this.#libuvPolled) {
        operations.remove(id);
        completion.complete(result, flags);
      } else if (completion === IGNORE_RESULT) {
        operations.remove(id);
        inFlight.release();
      } else {
        completion.arrived?.(result, flags);
        if ((tag & TAG.AT_ONCE) !== 0) operations.setTag(id, 0);
        threadScheduler.postCompletion(operations.groupOf(id), id, result, flags);
      }
    }
    Atomics.store(queues, this.#headAt, head);
    if (inFlight.atOnce.count > 0) this.#settle(head === tail ? over : 0);
  }

  /**
   * How many operations are over at once by now, so that the failures among them are in the completion queue, or
   * behind it when it is full. What is submitted while the queue is reaped does not count, even if the kernel takes
   * it meanwhile: its failures come later.
   */
  #countOver(): number {
    return this.#submissions.isTaken ? this.#inFlight.atOnce.count : 0;
  }

  /** Ends so many operations that were over at once, the oldest: those that had failed have been reaped. */
  #settle(count: number): void {
    const inFlight = this.#inFlight;
    const { operations, atOnce, observer } = inFlight;
    if (atOnce.count > count) this.#control[CONTROL.MORE] = 1;
    for (let left = count; left > 0; left--) {
      const { id, result } = atOnce;
      atOnce.shift();
      this.#control[CONTROL.AT_ONCE]--;
      if (!operations.has(id) || operations.tagOf(id) !== TAG.AT_ONCE) continue;
      // It was over at the end of the tick that queued it, however long this thread has slept since.
      if (observer !== undefined) observer.completed(id, this.#atOnceMs);
      if (threadScheduler.grouped) {
        operations.setTag(id, 0);
        threadScheduler.postCompletion(operations.groupOf(id), id, result, 0);
        continue;
      }
      const completion = operations.get(id);
      operations.remove(id);
      inFlight.release();
      completion.complete(result, 0);
    }
  }
}
