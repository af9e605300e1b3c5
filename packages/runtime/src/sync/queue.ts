import { SunstarError } from '../errors.js';
import { RingBuffer } from '../ring-buffer.js';
import { broken, checkInteger, invariant } from './errors.js';
import { READY } from './ready.js';
import { isAborted, type SyncOptions, WaitList, type WaitOptions } from './wait-list.js';

const DEFAULT_CAPACITY = 1024;

/** Options of a {@link Queue}; `maxWaiters` counts for each side. */
export interface QueueOptions extends SyncOptions {
  /** Items that it holds, 1 to 2^31 − 1. @default 1024 */
  readonly capacity?: number;
}

/**
 * A bounded queue between producers and consumers: `push` waits while it is full, `pop` while it is empty. Items leave
 * in the order in which their `push` was called, and go to consumers in the order of `pop`.
 */
export class Queue<T> implements Disposable {
  readonly capacity: number;
  readonly #items = new RingBuffer<T>();
  readonly #pushers: WaitList<void, T>;
  readonly #poppers: WaitList<T>;
  readonly #name: string;
  #endedBy: SunstarError | undefined;

  constructor(options?: QueueOptions) {
    this.capacity = checkInteger('capacity', options?.capacity ?? DEFAULT_CAPACITY, 1, 2 ** 31 - 1);
    this.#pushers = new WaitList('queue with room', options);
    this.#poppers = new WaitList('queue with an item', options);
    this.#name = options?.name === undefined ? 'The queue' : `The queue "${options.name}"`;
  }

  /** How many items can be popped without waiting. */
  get size(): number {
    return this.#items.size;
  }

  get isEmpty(): boolean {
    return this.#items.size === 0;
  }

  get isFull(): boolean {
    return this.#items.size === this.capacity;
  }

  /** Whether {@link close} or {@link abort} was called. */
  get isClosed(): boolean {
    return this.#endedBy !== undefined;
  }

  get waitingPushes(): number {
    return this.#pushers.size;
  }

  get waitingPops(): number {
    return this.#poppers.size;
  }

  /** Adds an item if there is room; false when it is full or closed. */
  tryPush(item: T): boolean {
    if (this.#items.size === this.capacity || this.#endedBy !== undefined) return false;
    if (this.#poppers.first !== null) this.#poppers.resolveFirst(item);
    else this.#items.push(item);
    return true;
  }

  /**
   * Adds an item, or waits for room.
   *
   * @returns Rejects with `SUNSTAR_QUEUE_CLOSED`, `SUNSTAR_QUEUE_ABORTED`, `SUNSTAR_TIMEOUT`, `SUNSTAR_ABORTED` or
   * `SUNSTAR_TOO_MANY_WAITERS`; the item is not added then.
   */
  push(item: T, options?: WaitOptions): Promise<void> {
    if (!isAborted(options) && this.tryPush(item)) return READY;
    if (this.#endedBy !== undefined) return Promise.reject(this.#endedBy);
    return this.#pushers.wait(item, options);
  }

  /** Takes the first item; undefined when there is none. An item may be undefined too: then look at {@link size}. */
  tryPop(): T | undefined {
    if (this.#items.size === 0) return undefined;
    const item = this.#items.shift();
    if (this.#pushers.first !== null) this.#items.push(this.#pushers.resolveFirst());
    return item;
  }

  /**
   * Takes the first item, or waits for one.
   *
   * @returns Rejects with `SUNSTAR_QUEUE_CLOSED` when it is closed and empty, `SUNSTAR_QUEUE_ABORTED`,
   * `SUNSTAR_TIMEOUT`, `SUNSTAR_ABORTED` or `SUNSTAR_TOO_MANY_WAITERS`; no item is taken then.
   */
  pop(options?: WaitOptions): Promise<T> {
    if (this.#items.size > 0 && !isAborted(options)) return Promise.resolve(this.tryPop() as T);
    if (this.#endedBy !== undefined && this.#items.size === 0) return Promise.reject(this.#endedBy);
    return this.#poppers.wait(undefined, options);
  }

  /** Takes no more items. Those inside can still be popped; who waits is rejected with `SUNSTAR_QUEUE_CLOSED`. */
  close(): void {
    this.#end(
      new SunstarError(
        'SUNSTAR_QUEUE_CLOSED',
        `${this.#name} is closed. Push nothing after close(); iterate with \`for await\` to stop at the end.`,
      ),
    );
  }

  /** {@link close}, and drops the items; who waits is rejected with `SUNSTAR_QUEUE_ABORTED`. */
  abort(cause?: unknown): void {
    this.#items.clear();
    this.#endedBy = undefined;
    this.#end(broken('SUNSTAR_QUEUE_ABORTED', this.#name, cause));
  }

  /** The items as they come, until it is closed and empty; throws when it is aborted. */
  async *[Symbol.asyncIterator](): AsyncGenerator<T, void, undefined> {
    for (;;) {
      while (this.#items.size > 0) yield this.tryPop() as T;
      let item: T;
      try {
        item = await this.pop();
      } catch (error) {
        if (error instanceof SunstarError && error.code === 'SUNSTAR_QUEUE_CLOSED') return;
        throw error;
      }
      yield item;
    }
  }

  /** {@link close} */
  [Symbol.dispose](): void {
    this.close();
  }

  /** Throws when the state contradicts itself. For tests. */
  invariants(): void {
    this.#items.invariants();
    this.#pushers.invariants();
    this.#poppers.invariants();
    invariant(this.#items.size <= this.capacity, 'no more items than the capacity');
    invariant(this.#pushers.size === 0 || this.isFull, 'nobody waits for room that there is');
    invariant(this.#poppers.size === 0 || this.isEmpty, 'nobody waits for an item that there is');
    invariant(
      this.#endedBy === undefined || this.#pushers.size + this.#poppers.size === 0,
      'nobody waits for a closed queue',
    );
  }

  #end(error: SunstarError): void {
    if (this.#endedBy !== undefined) return;
    this.#endedBy = error;
    this.#pushers.rejectAll(error);
    this.#poppers.rejectAll(error);
  }
}
