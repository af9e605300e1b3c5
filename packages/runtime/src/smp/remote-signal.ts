import type { SunstarError } from '../errors.js';
import { type Borrower, type Holder, type Lender, type Parcel, registerTransfer } from './codec/transfer.js';

/*
 * An AbortSignal that is an argument of a call. It arrives as a signal of its own, which is aborted with the
 * same reason (a copy) as long as the call runs; one that is aborted already arrives aborted.
 */

const ABORT = 0;

class SignalParcel implements Parcel {
  readonly numbers: readonly number[];
  readonly extra: unknown;
  readonly #signal: AbortSignal;
  #onAbort: (() => void) | undefined;

  constructor(signal: AbortSignal) {
    this.#signal = signal;
    this.numbers = [signal.aborted ? 1 : 0];
    this.extra = signal.aborted ? signal.reason : undefined;
  }

  sent(borrower: Borrower, token: number): void {
    const signal = this.#signal;
    if (this.numbers[0] === 1) return;
    const tell = (): void => {
      try {
        borrower.tellHolder(token, ABORT, 0, signal.reason);
      } catch {
        // The reason cannot go there; that it was aborted can.
        borrower.tellHolder(token, ABORT, 0);
      }
    };
    // Since it was packed, by a getter of another argument.
    if (signal.aborted) tell();
    else {
      this.#onAbort = tell;
      signal.addEventListener('abort', tell, { once: true });
    }
  }

  release(): void {
    if (this.#onAbort !== undefined) this.#signal.removeEventListener('abort', this.#onAbort);
    this.#onAbort = undefined;
  }

  closed(): void {
    this.release();
  }
}

/** The signal at the other end. */
class SignalHolder implements Holder {
  readonly controller: AbortController = new AbortController();
  readonly #lender: Lender;
  readonly #token: number;

  constructor(lender: Lender, token: number) {
    this.#lender = lender;
    this.#token = token;
    lender.hold(token, this);
  }

  told(_event: number, _number: number, reason: unknown): void {
    this.controller.abort(reason);
  }

  gone(error: SunstarError): void {
    this.controller.abort(error);
  }

  letGo(): void {
    this.#lender.giveBack(this.#token);
  }
}

const holders = new WeakMap<AbortSignal, SignalHolder>();

registerTransfer<AbortSignal>({
  name: 'AbortSignal',
  valueClass: AbortSignal,
  ofCall: true,
  pack: (signal) => new SignalParcel(signal),
  receive([aborted], token, lender, reason) {
    const holder = new SignalHolder(lender, token);
    if (aborted === 1) holder.controller.abort(reason);
    holders.set(holder.controller.signal, holder);
    return holder.controller.signal;
  },
  drop(signal) {
    holders.get(signal)?.letGo();
    holders.delete(signal);
  },
});
