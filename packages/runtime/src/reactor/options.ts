import type { Backend } from './backend.js';

/** Options of a Reactor. */
export interface ReactorOptions {
  /** Who serves the ring; see {@link chooseBackend}. @default 'io_uring' */
  readonly backend?: Backend;
  /** Entries of the submission queue, a power of two. @default 1024 */
  readonly submissionEntries?: number;
  /** Entries of the completion queue, a power of two. @default 8192 */
  readonly completionEntries?: number;
  /** How long an idle thread looks for work before it sleeps, in microseconds. @default 0 */
  readonly idlePollUs?: number;
  /** How long a turn should last at most before `needPreempt()` says so, in microseconds, 50 to 100000. @default 500 */
  readonly taskQuotaUs?: number;
}

/** Counters of a Reactor; those of the loop wrap at 2^32. */
export interface ReactorStats {
  /** Who serves the ring. */
  readonly backend: Backend;
  /** Operations in flight, the reactor's own poll of libuv included. */
  readonly inFlight: number;
  readonly submitted: number;
  readonly completed: number;
  /** How often the tick ran. */
  readonly ticks: number;
  /** How often the thread slept in the kernel. */
  readonly sleeps: number;
  /** How often the ring was entered: with io_uring, system calls. */
  readonly enters: number;
  /** How often another shard woke this one. */
  readonly wakeUps: number;
  /** How long the thread slept, or polled because it had nothing to do, in all. */
  readonly idleMs: number;
}

/** Told of every operation; what it does counts against each of them. */
export interface OperationObserver {
  /**
   * An operation was queued.
   *
   * @param nowMs - When the tick began that queued it.
   */
  submitted(operationId: number, opcode: number, nowMs: number): void;
  /** The last completion of the operation. */
  completed(operationId: number, nowMs: number): void;
}
