import { SunstarError } from '../errors.js';
import { currentGroupId } from '../scheduling/current-group.js';
import { callIn } from '../scheduling/thread-scheduler.js';
import { aborted, checkInteger, invariant, timedOut } from './errors.js';
import { threadTimers } from './node-timers.js';
import { Timer, type Timers } from './timer.js';
import type { WaitOptions } from './wait-list.js';

const DEFAULT_CAPACITY = 65_536;

/** Options of an {@link ExpiringFifo}. */
export interface ExpiringFifoOptions<T> {
  /**
   * Gets an item that left because its time was up (`SUNSTAR_TIMEOUT`) or its signal was aborted (`SUNSTAR_ABORTED`),
   * in the scheduling group that had added it.
   */
  readonly onExpired: (item: T, error: SunstarError) => void;
  /** Items at the same time, 1 to 2^31 − 1. @default 65536 */
  readonly capacity?: number;
  /** @default threadTimers */
  readonly timers?: Timers;
}

class Entry<T> extends Timer {
  before: Entry<T> | null = null;
  after: Entry<T> | null = null;
  readonly fifo: ExpiringFifo<T>;
  readonly item: T;
  readonly timeoutMs: number;
  readonly signal: AbortSignal | undefined;

  constructor(fifo: ExpiringFifo<T>, item: T, options: WaitOptions | undefined) {
    super();
    this.fifo = fifo;
    this.item = item;
    this.timeoutMs = options?.timeoutMs ?? Number.POSITIVE_INFINITY;
    this.signal = options?.signal;
    this.ownerId = currentGroupId();
  }

  override onExpired(): void {
    this.fifo.expire(this, timedOut('An item of the FIFO', this.timeoutMs));
  }

  handleEvent(): void {
    this.fifo.expire(this, aborted('An item of the FIFO', this.signal?.reason));
  }
}

/** First in, first out, except that an item leaves by itself when its time is up. After Seastar's `expiring_fifo`. */
export class ExpiringFifo<T> {
  readonly capacity: number;
  readonly #onExpired: (item: T, error: SunstarError) => void;
  readonly #timers: Timers;
  #first: Entry<T> | null = null;
  #last: Entry<T> | null = null;
  #size = 0;

  constructor(options: ExpiringFifoOptions<T>) {
    this.capacity = checkInteger('capacity', options.capacity ?? DEFAULT_CAPACITY, 1, 2 ** 31 - 1);
    this.#onExpired = options.onExpired;
    this.#timers = options.timers ?? threadTimers;
  }

  get size(): number {
    return this.#size;
  }

  get isEmpty(): boolean {
    return this.#first === null;
  }

  /** The item that {@link shift} takes; undefined when it is empty. */
  get front(): T | undefined {
    return this.#first?.item;
  }

  /**
   * Adds an item at the end.
   *
   * @throws SunstarError `SUNSTAR_FIFO_FULL`; `SUNSTAR_ABORTED` when the signal was aborted before;
   * `SUNSTAR_INVALID_OPTION`
   */
  push(item: T, options?: WaitOptions): void {
    const signal = options?.signal;
    if (signal?.aborted === true) throw aborted('An item of the FIFO', signal.reason);
    if (this.#size === this.capacity) {
      throw new SunstarError(
        'SUNSTAR_FIFO_FULL',
        `The FIFO holds ${this.capacity} items already. Refuse work earlier, or raise \`capacity\`.`,
      );
    }
    const entry = new Entry(this, item, options);
    if (entry.timeoutMs !== Number.POSITIVE_INFINITY) this.#timers.arm(entry, entry.timeoutMs);
    signal?.addEventListener('abort', entry);
    entry.before = this.#last;
    if (this.#last === null) this.#first = entry;
    else this.#last.after = entry;
    this.#last = entry;
    this.#size++;
  }

  /** Takes the first item; undefined when it is empty. */
  shift(): T | undefined {
    const entry = this.#first;
    if (entry === null) return undefined;
    this.#remove(entry);
    return entry.item;
  }

  /** For the entries only. @internal */
  expire(entry: Entry<T>, error: SunstarError): void {
    this.#remove(entry);
    callIn(entry.ownerId, () => this.#onExpired(entry.item, error));
  }

  /** Throws when the state contradicts itself. For tests. */
  invariants(): void {
    let size = 0;
    let previous: Entry<T> | null = null;
    for (let entry = this.#first; entry !== null; entry = entry.after) {
      invariant(entry.before === previous, 'entries are linked both ways');
      previous = entry;
      size++;
    }
    invariant(previous === this.#last, 'the last entry is the last');
    invariant(size === this.#size && size <= this.capacity, `${this.#size} items counted, ${size} found`);
  }

  #remove(entry: Entry<T>): void {
    const { before, after } = entry;
    if (before === null) this.#first = after;
    else before.after = after;
    if (after === null) this.#last = before;
    else after.before = before;
    entry.before = entry.after = null;
    this.#size--;
    this.#timers.cancel(entry);
    entry.signal?.removeEventListener('abort', entry);
  }
}
