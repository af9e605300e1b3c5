import type { IoClass } from './io-class.js';

/**
 * A read or write that asks for its turn on a device. It is itself the link of the queue, so that queueing
 * allocates nothing: file operations extend it, are filled in, and go through an {@link IoQueue} again and again.
 */
export abstract class IoRequest {
  /** Neighbours and list, while it is in one. @internal */
  ioNext: IoRequest | null = null;
  /** @internal */
  ioPrevious: IoRequest | null = null;
  /** @internal */
  ioList: IoRequestList | null = null;

  /** The scheduling group that asked. */
  groupId = 0;
  isWrite = false;
  /** Bytes to move. */
  sizeBytes = 0;

  /** What it takes of the device; of the queue that it is in. @internal */
  ioCost = 0;
  /** @internal */
  ioClass: IoClass | null = null;
  /** When it asked. @internal */
  queuedMs = 0;
  /** When the device got it. @internal */
  startedMs = 0;
  /** The cost that was in flight before it. @internal */
  behindCost = 0;
  /** Whether `startedMs` is exact enough to learn from. @internal */
  isTimed = false;

  /**
   * Its turn: gives it to the kernel. `IoQueue.finished` follows exactly once, from the loop or, where the kernel
   * takes it no more, from inside of this call.
   */
  abstract start(): void;
}

/** A queue of requests; each is in one list at most, and leaves it from any place. */
export class IoRequestList {
  #first: IoRequest | null = null;
  #last: IoRequest | null = null;
  #size = 0;

  get first(): IoRequest | null {
    return this.#first;
  }

  get size(): number {
    return this.#size;
  }

  /** Adds a request that is in no list as the last one. */
  push(request: IoRequest): void {
    const last = this.#last;
    request.ioList = this;
    request.ioPrevious = last;
    request.ioNext = null;
    if (last === null) this.#first = request;
    else last.ioNext = request;
    this.#last = request;
    this.#size++;
  }

  /** The one that waits longest. */
  shift(): IoRequest | null {
    const first = this.#first;
    if (first !== null) this.remove(first);
    return first;
  }

  /** Takes out a request that is in this list. */
  remove(request: IoRequest): void {
    const { ioNext, ioPrevious } = request;
    if (ioPrevious === null) this.#first = ioNext;
    else ioPrevious.ioNext = ioNext;
    if (ioNext === null) this.#last = ioPrevious;
    else ioNext.ioPrevious = ioPrevious;
    request.ioList = null;
    request.ioNext = null;
    request.ioPrevious = null;
    this.#size--;
  }

  /** Throws when the links contradict each other. For tests. */
  invariants(check: (holds: boolean, what: string) => void): void {
    let count = 0;
    let previous: IoRequest | null = null;
    for (let request = this.#first; request !== null; request = request.ioNext) {
      check(request.ioList === this, 'a request knows its list');
      check(request.ioPrevious === previous, 'links agree');
      previous = request;
      count++;
    }
    check(previous === this.#last && count === this.#size, 'a list has as many requests as it says');
  }
}
