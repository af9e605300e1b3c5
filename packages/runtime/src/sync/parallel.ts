import { currentGroupId } from '../scheduling/current-group.js';
import { mustPreempt } from '../scheduling/preempt.js';
import { callIn, turnOf } from '../scheduling/thread-scheduler.js';
import { yieldNow } from '../scheduling/yield.js';
import { aborted, checkInteger } from './errors.js';
import { isThenable, READY, rejection } from './ready.js';

const MAX_CONCURRENT = 1_048_576;
const DEFAULT_CONCURRENT = 128;

/**
 * Calls `work` for all items at once, and waits for all of them, also when some fail. Items whose work returns no
 * promise cost none. When the task quota is used up, the rest is started after others had their turn.
 *
 * @returns Rejects with the first error, after the last item is done.
 */
export function parallelForEach<T>(
  items: Iterable<T>,
  work: (item: T, index: number) => unknown,
): Promise<void> {
  const all = new ParallelForEach(items, work);
  return all.start() ? all.outcome() : all.startRest();
}

/** What {@link parallelForEach} knows of its items. */
class ParallelForEach<T> {
  readonly #work: (item: T, index: number) => unknown;
  readonly #groupId: number = currentGroupId();
  readonly #items: Iterable<T>;
  #iterator: Iterator<T> | undefined;
  #index = 0;
  #running = 0;
  #failure: { error: unknown } | undefined;
  #finish: (() => void) | undefined;
  readonly #onDone = (): void => {
    if (--this.#running === 0 && this.#finish !== undefined) callIn(this.#groupId, this.#finish);
  };
  readonly #onError = (error: unknown): void => {
    this.#failure ??= { error };
    this.#onDone();
  };

  constructor(items: Iterable<T>, work: (item: T, index: number) => unknown) {
    this.#items = items;
    this.#work = work;
  }

  /** Starts items until all are started, or the quota is used up; false then. */
  start(): boolean {
    try {
      this.#iterator ??= this.#items[Symbol.iterator]();
      for (let next = this.#iterator.next(); next.done !== true; next = this.#iterator.next()) {
        this.#startOne(next.value);
        if (mustPreempt()) return false;
      }
    } catch (error) {
      // The iterable's own: what was started is waited for all the same.
      this.#failure ??= { error };
    }
    return true;
  }

  async startRest(): Promise<void> {
    do await yieldNow();
    while (!this.start());
    await this.outcome();
  }

  outcome(): Promise<void> {
    if (this.#running === 0) return this.#failure === undefined ? READY : rejection(this.#failure.error);
    return new Promise((resolve) => {
      this.#finish = () => resolve(this.#failure === undefined ? undefined : rejection(this.#failure.error));
    });
  }

  #startOne(item: T): void {
    try {
      const result = this.#work(item, this.#index++);
      if (!isThenable(result)) return;
      this.#running++;
      result.then(this.#onDone, this.#onError);
    } catch (error) {
      this.#failure ??= { error };
    }
  }
}

/** Options of {@link maxConcurrentForEach} and {@link mapReduce}. */
export interface ConcurrencyOptions {
  /** No more items are started after it was aborted; the result is `SUNSTAR_ABORTED`. */
  readonly signal?: AbortSignal;
}

/**
 * Calls `work` for each item, for at most `maxConcurrent` at a time. After an error no more are started. Items are
 * fetched one by one when there is room.
 *
 * @param maxConcurrent - 1 to 1048576.
 * @returns Rejects with the first error, or with `SUNSTAR_ABORTED`, after all that were started are done.
 */
export async function maxConcurrentForEach<T>(
  items: Iterable<T> | AsyncIterable<T>,
  maxConcurrent: number,
  work: (item: T, index: number) => unknown,
  options?: ConcurrencyOptions,
): Promise<void> {
  checkInteger('maxConcurrent', maxConcurrent, 1, MAX_CONCURRENT);
  const signal = options?.signal;
  const groupId = currentGroupId();
  let running = 0;
  let failure: { error: unknown } | undefined;
  let wake: (() => void) | undefined;
  const change = (): void => {
    if (wake !== undefined) callIn(groupId, wake);
    wake = undefined;
  };
  const nextChange = (): Promise<void> =>
    new Promise((resolve) => {
      wake = resolve;
    });
  const onDone = (): void => {
    running--;
    change();
  };
  const onError = (error: unknown): void => {
    failure ??= { error };
    onDone();
  };
  const onAbort = (): void => {
    failure ??= { error: aborted('A loop', signal?.reason) };
    change();
  };
  if (signal?.aborted === true) throw aborted('A loop', signal.reason);
  signal?.addEventListener('abort', onAbort, { once: true });
  let index = 0;
  const start = (item: T): void => {
    try {
      const result = work(item, index++);
      if (!isThenable(result)) return;
      running++;
      result.then(onDone, onError);
    } catch (error) {
      failure ??= { error };
    }
  };
  try {
    if (Symbol.iterator in items) {
      for (const item of items) {
        while (running >= maxConcurrent && failure === undefined) await nextChange();
        if (failure !== undefined) break;
        start(item);
        if (mustPreempt()) await yieldNow();
      }
    } else {
      for await (const item of items) {
        while (running >= maxConcurrent && failure === undefined) await nextChange();
        if (failure !== undefined) break;
        start(item);
        if (mustPreempt()) await yieldNow();
      }
    }
  } catch (error) {
    failure ??= { error };
  }
  while (running > 0) await nextChange();
  signal?.removeEventListener('abort', onAbort);
  if (failure !== undefined) throw failure.error;
}

/** Options of {@link mapReduce}. */
export interface MapReduceOptions extends ConcurrencyOptions {
  /** Items that are mapped at the same time, 1 to 1048576. @default 128 */
  readonly maxConcurrent?: number;
}

/**
 * Maps items concurrently, and folds the results in the order of the items.
 *
 * @returns Rejects with the first error after all that were started are done, or with `SUNSTAR_ABORTED`.
 */
export async function mapReduce<T, M, R>(
  items: Iterable<T> | AsyncIterable<T>,
  map: (item: T, index: number) => M | PromiseLike<M>,
  initial: R,
  reduce: (accumulated: R, mapped: M) => R,
  options?: MapReduceOptions,
): Promise<R> {
  let accumulated = initial;
  let nextIndex = 0;
  // Results that came before that of an earlier item.
  const early = new Map<number, M>();
  const fold = (mapped: M, index: number): void => {
    if (index !== nextIndex) {
      early.set(index, mapped);
      return;
    }
    accumulated = reduce(accumulated, mapped);
    for (nextIndex++; early.has(nextIndex); nextIndex++) {
      const next = early.get(nextIndex) as M;
      early.delete(nextIndex);
      accumulated = reduce(accumulated, next);
    }
  };
  await maxConcurrentForEach(
    items,
    options?.maxConcurrent ?? DEFAULT_CONCURRENT,
    (item, index) => {
      const mapped = map(item, index);
      return isThenable(mapped) ? mapped.then((value) => fold(value, index)) : fold(mapped, index);
    },
    options,
  );
  return accumulated;
}

/**
 * Waits until all have settled; then gives all values, or rejects with the error of the first, in the order of the
 * arguments, that failed. Unlike Promise.all nothing is left running when it rejects.
 */
export async function whenAllSucceed<T extends readonly unknown[]>(
  ...promises: T
): Promise<{ -readonly [K in keyof T]: Awaited<T[K]> }> {
  // Each thenable is asked once, however many look at its outcome.
  const all = promises.map((promise) => Promise.resolve(promise));
  const groupId = currentGroupId();
  try {
    return (await Promise.all(all)) as { -readonly [K in keyof T]: Awaited<T[K]> };
  } catch (error) {
    for (const outcome of await Promise.allSettled(all)) {
      if (outcome.status === 'rejected') throw outcome.reason;
    }
    throw error;
  } finally {
    if (currentGroupId() !== groupId) await turnOf(groupId);
  }
}
