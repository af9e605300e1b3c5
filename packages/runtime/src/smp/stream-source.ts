import { SunstarError } from '../errors.js';
import { currentGroupId } from '../scheduling/index.js';
import { type Borrower, dropMoved, type Moved, type Parcel, transferTypeOf } from './codec/transfer.js';
import { DEFAULT_WINDOW, END, FAIL, ITEM, PULL, RETURN, THROW } from './stream-events.js';

/** Whether a value is an async iterable: an async generator, a stream, a queue. */
export function isStream(value: unknown): value is AsyncIterable<unknown> {
  return (
    typeof value === 'object' &&
    value !== null &&
    typeof (value as { [Symbol.asyncIterator]?: unknown })[Symbol.asyncIterator] === 'function'
  );
}

/**
 * An async iterable that is consumed on another shard. It is asked for an element only when the other side has
 * room for it, and one at a time; when the other side leaves, or is gone, its iterator is returned.
 */
export class StreamSource implements Parcel {
  readonly numbers: readonly number[];
  /** The scheduling group in which its elements are produced. */
  readonly groupId: number = currentGroupId();
  readonly #iterable: AsyncIterable<unknown>;
  /** Let go of when the stream is over: what belongs to the call that it is the result of. */
  #moved: readonly Moved[] | undefined;
  #iterator: AsyncIterator<unknown> | undefined;
  #borrower: Borrower | undefined;
  #token = 0;
  /** How many elements the other side has room for. */
  #credits = 0;
  #pumping = false;
  /** The other side wants no more elements. */
  #leaving = false;
  #over = false;

  constructor(iterable: AsyncIterable<unknown>, moved?: readonly Moved[], window: number = DEFAULT_WINDOW) {
    this.#iterable = iterable;
    this.#moved = moved;
    this.numbers = [window];
  }

  sent(borrower: Borrower, token: number): void {
    this.#borrower = borrower;
    this.#token = token;
  }

  told(event: number, number: number, value: unknown): void {
    if (this.#over || this.#leaving) return;
    if (event === PULL) {
      this.#credits += number;
      if (!this.#pumping) void this.#pump();
    } else if (event === RETURN) void this.#leave();
    else if (event === THROW) void this.#throw(value);
  }

  /** Nobody will ask for more: not sent, let go of, or the other side is gone. */
  release(): void {
    this.#abandon();
    const moved = this.#moved;
    this.#moved = undefined;
    if (moved !== undefined) dropMoved(moved);
  }

  closed(): void {
    this.#abandon();
  }

  #abandon(): void {
    if (this.#over) return;
    this.#over = true;
    // Nobody is left to hear of an error of its clean-up: it becomes an unhandled rejection of this shard.
    if (!this.#leaving) void this.#return();
  }

  async #pump(): Promise<void> {
    this.#pumping = true;
    try {
      this.#iterator ??= this.#iterable[Symbol.asyncIterator]();
      while (this.#credits > 0 && !this.#over && !this.#leaving) {
        const step = await this.#iterator.next();
        if (this.#over || this.#leaving) {
          if (step.done !== true) dropValue(step.value);
          return;
        }
        if (step.done === true) {
          this.#end(step.value);
          return;
        }
        this.#credits--;
        const refusal = this.#send(step.value);
        if (refusal !== undefined) {
          await this.#giveUp(refusal.error);
          return;
        }
      }
    } catch (error) {
      if (!this.#over && !this.#leaving) this.#fail(error);
    } finally {
      this.#pumping = false;
    }
  }

  /** @returns Why the element cannot be sent. */
  #send(value: unknown): { error: unknown } | undefined {
    try {
      this.#borrower?.tellHolder(this.#token, ITEM, 0, value);
      return undefined;
    } catch (error) {
      dropValue(value);
      return { error };
    }
  }

  /** An element that cannot be sent ends the stream. */
  async #giveUp(why: unknown): Promise<void> {
    this.#leaving = true;
    try {
      await this.#return();
    } finally {
      this.#fail(why);
    }
  }

  async #leave(): Promise<void> {
    this.#leaving = true;
    try {
      const step = await this.#return();
      this.#end(step?.value);
    } catch (error) {
      this.#fail(error);
    }
  }

  async #throw(thrown: unknown): Promise<void> {
    this.#leaving = true;
    const iterator = this.#iterator;
    try {
      if (iterator?.throw === undefined) {
        await this.#return();
        throw thrown;
      }
      const step = await iterator.throw(thrown);
      // It has caught the error and goes on, which nobody listens to.
      if (step.done !== true) await this.#return();
      this.#end(step.done === true ? step.value : undefined);
    } catch (error) {
      this.#fail(error);
    }
  }

  async #return(): Promise<IteratorResult<unknown> | undefined> {
    if (this.#iterator !== undefined) return this.#iterator.return?.();
    // A generator that has not begun never will: others must not wait for it.
    const { next, return: finish } = this.#iterable as Partial<AsyncIterator<unknown>>;
    if (typeof next !== 'function' || typeof finish !== 'function') return undefined;
    return finish.call(this.#iterable);
  }

  #end(value: unknown): void {
    if (this.#over) return;
    this.#over = true;
    try {
      this.#borrower?.tellHolder(this.#token, END, 0, value);
    } catch {
      // What a generator returns is of no use to `for await`: its end is.
      this.#borrower?.tellHolder(this.#token, END, 0);
    }
  }

  #fail(error: unknown): void {
    if (this.#over) return;
    this.#over = true;
    try {
      this.#borrower?.tellHolder(this.#token, FAIL, 1, error);
    } catch (cause) {
      this.#failSafely(cause);
    }
  }

  #failSafely(cause: unknown): void {
    const because = cause instanceof SunstarError ? cause.message : 'reading it failed.';
    const error = new SunstarError('SUNSTAR_NOT_CLONEABLE', `The error could not be sent: ${because}`);
    try {
      this.#borrower?.tellHolder(this.#token, FAIL, 1, error);
    } catch {
      // No memory even for that; without a value it needs none.
      this.#borrower?.tellHolder(this.#token, FAIL, 0);
    }
  }
}

/** Lets go of an element that nobody gets. */
function dropValue(value: unknown): void {
  if (typeof value !== 'object' || value === null || transferTypeOf(value) === undefined) return;
  (value as Partial<Disposable>)[Symbol.dispose]?.();
}
