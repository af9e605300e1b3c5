import { SunstarError } from '@sunstar/runtime';

/** A time limit and an abort signal for several steps. */
export class Deadline implements Disposable {
  /** Why it is over, once it is. */
  expired: SunstarError | null = null;
  readonly #timer: NodeJS.Timeout;
  readonly #signal: AbortSignal | undefined;
  readonly #onAbort: () => void;
  #onExpire: ((error: SunstarError) => void) | null = null;

  /** @param where - What is being connected to, for the message. */
  constructor(where: string, timeoutMs: number, signal: AbortSignal | undefined) {
    this.#timer = setTimeout(() => {
      this.#expire(
        new SunstarError(
          'SUNSTAR_CONNECT_TIMEOUT',
          `No connection to ${where} within ${timeoutMs} ms. Check the address and the network, or raise timeoutMs.`,
        ),
      );
    }, timeoutMs);
    this.#signal = signal;
    this.#onAbort = (): void => {
      this.#expire(
        new SunstarError('SUNSTAR_CONNECT_ABORTED', `The connection to ${where} was aborted by its signal.`, {
          cause: signal?.reason,
        }),
      );
    };
    if (signal?.aborted === true) this.#onAbort();
    else signal?.addEventListener('abort', this.#onAbort);
  }

  /** Calls back once when it is over; null forgets the callback. */
  set onExpire(callback: ((error: SunstarError) => void) | null) {
    this.#onExpire = callback;
    if (this.expired !== null) callback?.(this.expired);
  }

  /** The promise, or an error when the deadline comes first. */
  race<T>(promise: Promise<T>): Promise<T> {
    return new Promise<T>((resolve, reject) => {
      this.onExpire = reject;
      promise.then(resolve, reject);
    }).finally(() => {
      this.onExpire = null;
    });
  }

  [Symbol.dispose](): void {
    clearTimeout(this.#timer);
    this.#signal?.removeEventListener('abort', this.#onAbort);
  }

  #expire(error: SunstarError): void {
    if (this.expired !== null) return;
    this.expired = error;
    this.#onExpire?.(error);
  }
}
