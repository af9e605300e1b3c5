import { systemError } from '../errors.js';
import type { Completion } from './completion.js';

const MAX_POOLED = 1024;

/** An operation that somebody awaits. Reused: only the promise itself is new each time. */
class PromiseOperation implements Completion {
  promise: Promise<number> = Promise.resolve(0);
  syscall = '';
  readonly #pool: PromiseOperation[];
  readonly #capture: (resolve: (value: number) => void, reject: (error: Error) => void) => void;
  #resolve: (value: number) => void = () => {};
  #reject: (error: Error) => void = () => {};

  constructor(pool: PromiseOperation[]) {
    this.#pool = pool;
    this.#capture = (resolve, reject) => {
      this.#resolve = resolve;
      this.#reject = reject;
    };
  }

  arm(syscall: string): this {
    this.syscall = syscall;
    this.promise = new Promise(this.#capture);
    return this;
  }

  complete(result: number): void {
    if (result < 0) this.#reject(systemError(this.syscall, result));
    else this.#resolve(result);
    if (this.#pool.length < MAX_POOLED) this.#pool.push(this);
  }
}

/** Lends completions that settle a promise. */
export class PromisePool {
  readonly #free: PromiseOperation[] = [];

  /** A completion whose `promise` settles with the operation's result. */
  take(syscall: string): PromiseOperation {
    return (this.#free.pop() ?? new PromiseOperation(this.#free)).arm(syscall);
  }
}

export type { PromiseOperation };
