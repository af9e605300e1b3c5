import { inThisGroup } from '@sunstar/runtime';

/** A promise that is settled from outside. */
export class Deferred<T> {
  readonly promise: Promise<T>;
  readonly resolve: (value: T) => void;
  readonly reject: (error: Error) => void;

  constructor() {
    let resolve: (value: T) => void = () => {};
    let reject: (error: Error) => void = () => {};
    this.promise = new Promise<T>((whenDone, whenFailed) => {
      resolve = whenDone;
      reject = whenFailed;
    });
    this.resolve = resolve;
    this.reject = reject;
  }
}

/** Something that any number of callers wait for, again and again. */
export class Signal {
  #waiting: Deferred<void> | null = null;

  /** Resolves at the next `resolve()`. */
  wait(): Promise<void> {
    this.#waiting ??= new Deferred();
    return inThisGroup(this.#waiting.promise);
  }

  resolve(): void {
    this.#waiting?.resolve();
    this.#waiting = null;
  }

  reject(error: Error): void {
    this.#waiting?.reject(error);
    this.#waiting = null;
  }
}
