import { native } from '@sunstar/native';
import { type Completion, ERRNO, IORING_CQE_F, IORING_OP } from '@sunstar/runtime';
import type { NetworkShard } from '../network.js';

const POLLERR = 8;
const POLL_MULTISHOT = 1;
/** Notifications that one call takes. */
const BATCH = 64;

/** What a socket's error queue says about zero-copy sends. */
export interface ErrorQueueOwner {
  /** Whether it should be read now; false: whoever says so reads it later. */
  readonly mayRead: boolean;
  /** The sends `first` to `last` have ended. */
  rangeNotified(first: number, last: number, isCopied: boolean): void;
  /** The queue is empty for now. `count` ranges were taken; 0 is a wake-up for nothing. */
  batchEnded(count: number): void;
  /** The queue is no longer watched. */
  watchEnded(): void;
}

const ranges = new Uint32Array(3 * BATCH);

/**
 * Reads the error queue of one socket whenever something is in it: a multishot poll, which reports once for each
 * arrival and not for as long as the queue is filled. (A poll that does would spin on a socket with an error.)
 */
export class ErrorQueue implements Completion {
  readonly #reactor: NetworkShard['reactor'];
  readonly #owner: ErrorQueueOwner;
  readonly #fd: number;
  #isArmed = false;
  #isWanted = false;
  #operationId = 0;

  constructor(reactor: NetworkShard['reactor'], fd: number, owner: ErrorQueueOwner) {
    this.#reactor = reactor;
    this.#fd = fd;
    this.#owner = owner;
  }

  /** A poll is in flight. */
  get isArmed(): boolean {
    return this.#isArmed;
  }

  /** Watches the queue until {@link stop}. */
  watch(): void {
    this.#isWanted = true;
    if (this.#isArmed) return;
    this.#isArmed = true;
    this.#operationId = this.#reactor.submit(
      this,
      IORING_OP.POLL_ADD,
      this.#fd,
      0,
      POLL_MULTISHOT,
      0,
      POLLERR,
    );
  }

  /** {@link ErrorQueueOwner.watchEnded} follows, if it was watched. */
  stop(): void {
    this.#isWanted = false;
    if (this.#isArmed) this.#reactor.cancel(this.#operationId);
  }

  complete(result: number, flags: number): void {
    if ((flags & IORING_CQE_F.MORE) === 0) this.#isArmed = false;
    if (result > 0 && this.#owner.mayRead) this.read();
    if (this.#isArmed) return;
    // The kernel ends a multishot poll when it has no memory for one more report.
    if (this.#isWanted && result !== -ERRNO.ECANCELED) this.watch();
    else this.#owner.watchEnded();
  }

  /** Takes everything that is in the queue now. */
  read(): void {
    let count = 0;
    for (;;) {
      const taken = native.readZeroCopyNotifications(this.#fd, ranges);
      for (let at = 0; at < 3 * taken; at += 3) {
        this.#owner.rangeNotified(ranges[at], ranges[at + 1], ranges[at + 2] !== 0);
      }
      if (taken > 0) count += taken;
      if (taken < BATCH) break;
    }
    this.#owner.batchEnded(count);
  }
}
