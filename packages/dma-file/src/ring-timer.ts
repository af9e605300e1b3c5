import {
  type Completion,
  ERRNO,
  IORING_OP,
  OutOfMemoryError,
  type Reactor,
  type ShardMemory,
} from '@sunstar/runtime';
import type { OneShotTimer } from './appender/append-target.js';

const TIMESPEC_BYTES = 16;
const NANOSECONDS_PER_MS = 1e6;
const MS_PER_SECOND = 1000;

/** One timeout that the kernel has. */
class Shot implements Completion {
  isCancelled = false;
  operation = 0;
  readonly #timer: RingTimer;

  constructor(timer: RingTimer) {
    this.#timer = timer;
  }

  complete(result: number): void {
    this.#timer.shotEnded(this, result);
  }
}

/**
 * A timer of the ring: fine to about 50 µs, where those of Node count whole milliseconds. Calls its completion in
 * the tick. Keeps the event loop alive while it is set. When memory has run out it fires at once.
 */
export class RingTimer implements OneShotTimer {
  readonly #reactor: Reactor;
  readonly #memory: ShardMemory;
  readonly #completion: Completion;
  readonly #spare: Shot[] = [];
  #timespec = -1;
  #isClosed = false;
  #armed: Shot | null = null;
  #inFlight = 0;
  #closed: (() => void) | null = null;

  constructor(reactor: Reactor, memory: ShardMemory, completion: Completion) {
    this.#reactor = reactor;
    this.#memory = memory;
    this.#completion = completion;
  }

  arm(delayMs: number): void {
    if (this.#armed !== null || this.#isClosed) return;
    if (!this.#hasTimespec()) {
      this.#reactor.defer(this.#completion);
      return;
    }
    const shot = this.#spare.pop() ?? new Shot(this);
    shot.isCancelled = false;
    const { view, address } = this.#memory.arena;
    const seconds = Math.floor(delayMs / MS_PER_SECOND);
    // Not 0, which the kernel takes for no time at all; it copies the value when the tick's operations are submitted.
    const nanoseconds = Math.max(1, Math.round((delayMs - seconds * MS_PER_SECOND) * NANOSECONDS_PER_MS));
    view.setUint32(this.#timespec, seconds, true);
    view.setUint32(this.#timespec + 4, 0, true);
    view.setUint32(this.#timespec + 8, nanoseconds, true);
    view.setUint32(this.#timespec + 12, 0, true);
    this.#inFlight++;
    this.#armed = shot;
    shot.operation = this.#reactor.submit(shot, IORING_OP.TIMEOUT, -1, address + this.#timespec, 1, 0);
  }

  cancel(): void {
    const shot = this.#armed;
    if (shot === null) return;
    this.#armed = null;
    shot.isCancelled = true;
    this.#reactor.cancel(shot.operation);
  }

  shotEnded(shot: Shot, result: number): void {
    this.#inFlight--;
    const isDue = !shot.isCancelled;
    this.#spare.push(shot);
    if (isDue) this.#armed = null;
    this.#checkClosed();
    // A ring that ends cancels everything.
    if (isDue && result === -ERRNO.ETIME) this.#completion.complete(0, 0);
  }

  close(): Promise<void> {
    this.cancel();
    this.#isClosed = true;
    return new Promise((resolve) => {
      this.#closed = resolve;
      this.#checkClosed();
    });
  }

  #hasTimespec(): boolean {
    if (this.#timespec >= 0) return true;
    try {
      this.#timespec = this.#memory.allocate(TIMESPEC_BYTES);
      return true;
    } catch (error) {
      if (error instanceof OutOfMemoryError) return false;
      throw error;
    }
  }

  #checkClosed(): void {
    if (this.#closed === null || this.#inFlight > 0) return;
    if (this.#timespec >= 0) this.#memory.free(this.#timespec);
    this.#timespec = -1;
    this.#closed();
    this.#closed = null;
  }
}
