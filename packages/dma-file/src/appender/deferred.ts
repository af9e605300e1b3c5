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
