import { SunstarError } from '../errors.js';
import { currentGroupId } from '../scheduling/index.js';
import { dropMoved, type Holder, type Lender, type Moved } from './codec/transfer.js';
import { rejectRemotely, rejectWith } from './remote-error.js';
import { END, ITEM, PULL, RETURN, THROW } from './stream-events.js';

interface Item {
  readonly value: unknown;
  readonly moved: readonly Moved[];
}

type Step = IteratorResult<unknown, unknown>;
type Settle = (step: Step | Promise<Step>) => void;

const DONE: Step = { done: true, value: undefined };

/**
 * The consuming end of an async iterable of another shard: what has arrived and was not asked for, or who has
 * asked for what has not arrived. See stream-events.ts.
 */
export class StreamSink implements Holder {
  /** The scheduling group that consumes it. */
  groupId: number = currentGroupId();
  readonly #lender: Lender;
  readonly #token: number;
  readonly #window: number;
  /** Arrived elements from `#first` on. */
  #items: (Item | undefined)[] = [];
  #first = 0;
  readonly #waiting: Settle[] = [];
  /** Who waits for the end after return() or throw(). */
  #leaving: Settle | undefined;
  /** Credits that the producer has not used. */
  #credits = 0;
  #started = false;
  #over = false;
  /** What the stream ended with, until somebody was told. */
  #failure: ((settle: Settle) => void) | undefined;

  constructor(lender: Lender, token: number, window: number) {
    this.#lender = lender;
    this.#token = token;
    this.#window = window;
    lender.hold(token, this);
  }

  /** Elements that have arrived and that nobody has asked for. */
  get buffered(): number {
    return this.#items.length - this.#first;
  }

  get over(): boolean {
    return this.#over;
  }

  next(): Promise<Step> {
    this.groupId = currentGroupId();
    const item = this.#shift();
    if (item !== undefined) {
      this.#pull();
      return Promise.resolve({ done: false, value: item.value });
    }
    if (this.#over) return this.#end();
    if (this.#leaving !== undefined) return Promise.resolve(DONE);
    return new Promise((resolve) => {
      this.#waiting.push(resolve);
      this.#pull();
    });
  }

  /** Ends the stream; resolves when the producer has cleaned up. */
  return(value: unknown): Promise<Step> {
    this.#dropItems();
    if (this.#over || this.#leaving !== undefined) return Promise.resolve({ done: true, value });
    if (!this.#started) {
      this.drop();
      return Promise.resolve({ done: true, value });
    }
    return this.#leave(RETURN, undefined, value);
  }

  /** Throws an error into the generator, which ends the stream. */
  throw(error: unknown): Promise<Step> {
    this.#dropItems();
    // eslint-disable-next-line @typescript-eslint/prefer-promise-reject-errors -- as generators do
    if (this.#over || this.#leaving !== undefined) return Promise.reject(error);
    if (!this.#started) {
      this.drop();
      // eslint-disable-next-line @typescript-eslint/prefer-promise-reject-errors -- as generators do
      return Promise.reject(error);
    }
    return this.#leave(THROW, error, undefined);
  }

  /** Lets go of the stream without hearing how it ends. */
  drop(): void {
    this.#dropItems();
    if (this.#over || this.#leaving !== undefined) return;
    // A token that comes home wakes nobody; a generator that has begun must clean up soon.
    if (this.#started) this.#leave(RETURN, undefined, undefined).catch(() => {});
    else this.#finish();
  }

  told(event: number, number: number, value: unknown, moved: readonly Moved[]): void {
    if (event === ITEM) {
      this.#credits--;
      if (this.#leaving !== undefined) dropMoved(moved);
      else this.#arrived(value, moved);
      return;
    }
    const { shardId } = this.#lender;
    if (event === END) this.#ended(value);
    else if (number === 0)
      this.#failed((settle) => rejectWith(asResolve(settle), () => withoutMemory(shardId)));
    else
      this.#failed((settle) =>
        rejectRemotely(asResolve(settle), value, shardId, 'async iterable', currentGroupId()),
      );
  }

  gone(error: SunstarError): void {
    if (this.#leaving !== undefined) this.#ended(undefined);
    else this.#failed((settle) => rejectWith(asResolve(settle), () => error));
  }

  invariants(): void {
    const ok =
      this.#credits >= 0 &&
      this.#credits + this.buffered <= this.#window &&
      (this.#waiting.length === 0 || (this.buffered === 0 && !this.#over)) &&
      (this.#leaving === undefined || (this.buffered === 0 && !this.#over));
    if (!ok) throw new SunstarError('SUNSTAR_BROKEN_INVARIANT', 'A stream of another shard is inconsistent.');
  }

  #arrived(value: unknown, moved: readonly Moved[]): void {
    const settle = this.#waiting.shift();
    if (settle === undefined) {
      this.#items.push({ value, moved });
      return;
    }
    settle({ done: false, value });
    this.#pull();
  }

  #ended(value: unknown): void {
    this.#finish();
    this.#leaving?.({ done: true, value });
    this.#leaving = undefined;
    this.#waiting.shift()?.({ done: true, value });
    for (const settle of this.#waiting.splice(0)) settle(DONE);
  }

  #failed(failure: (settle: Settle) => void): void {
    this.#finish();
    const first = this.#leaving ?? this.#waiting.shift();
    this.#leaving = undefined;
    if (first === undefined) this.#failure = failure;
    else failure(first);
    for (const settle of this.#waiting.splice(0)) settle(DONE);
  }

  /** What next() says after the last element: the error once. */
  #end(): Promise<Step> {
    const failure = this.#failure;
    if (failure === undefined) return Promise.resolve(DONE);
    this.#failure = undefined;
    return new Promise(failure);
  }

  #leave(event: number, error: unknown, value: unknown): Promise<Step> {
    return new Promise((resolve, reject) => {
      this.#leaving =
        event === RETURN ? (step) => resolve(isPromise(step) ? step : { ...step, value }) : resolve;
      try {
        this.#lender.tellLender(this.#token, event, 0, error);
      } catch (refusal) {
        this.#leaving = undefined;
        this.#finish();
        // eslint-disable-next-line @typescript-eslint/prefer-promise-reject-errors -- whatever a getter of it threw
        reject(refusal);
      }
    });
  }

  /** Gives credits when half of the window is free, so that one message does for many elements. */
  #pull(): void {
    if (this.#over || this.#leaving !== undefined) return;
    const free = this.#window - this.#credits - this.buffered;
    if (free * 2 < this.#window && this.#started) return;
    this.#started = true;
    this.#credits += free;
    this.#lender.tellLender(this.#token, PULL, free);
  }

  #finish(): void {
    if (this.#over) return;
    this.#over = true;
    this.#lender.giveBack(this.#token);
  }

  #shift(): Item | undefined {
    if (this.#first === this.#items.length) return undefined;
    const item = this.#items[this.#first];
    this.#items[this.#first++] = undefined;
    if (this.#first === this.#items.length) {
      this.#items = [];
      this.#first = 0;
    }
    return item;
  }

  #dropItems(): void {
    this.#failure = undefined;
    for (let item = this.#shift(); item !== undefined; item = this.#shift()) dropMoved(item.moved);
  }
}

function isPromise(step: Step | Promise<Step>): step is Promise<Step> {
  return step instanceof Promise;
}

function asResolve(settle: Settle): (value: unknown) => void {
  return settle as (value: unknown) => void;
}

function withoutMemory(shardId: number): SunstarError {
  return new SunstarError(
    'SUNSTAR_OUT_OF_MEMORY',
    `An async iterable of shard ${shardId} failed, and there was no memory to say how. ` +
      'Ask for less at once, or start the runtime with more `memory`.',
  );
}
