import type { SunstarError } from '../errors.js';
import type { Clock } from '../sync/index.js';
import type { Holder, Lender, Moved } from './codec/transfer.js';
import { sharedClock } from './shared-clock.js';

/** The call that a method of a service is running for: see {@link currentCall}. */
export interface CallContext {
  /** The shard that asked. */
  readonly callerId: number;
  /** Aborted when the caller gives the call up: by its `signal`, its `timeoutMs`, or because its shard has stopped. */
  readonly signal: AbortSignal;
  /** How long the caller will still wait, in milliseconds; 0 when its time is over, Infinity when it has set none. */
  readonly remainingMs: number;
}

/** The asking side gave the call up; the value is the reason. */
export const GIVE_UP = 0;

/** What the serving shard keeps of a call that may be given up. */
export class ServedCall implements CallContext, Holder {
  readonly callerId: number;
  /** On the shared clock; Infinity for none. */
  readonly deadlineMs: number;
  /** How many elements of its result may be sent ahead, if that is an async iterable. */
  readonly window: number | undefined;
  /** What the deadline counts on. */
  clock: Clock = sharedClock;
  readonly #lender: Lender | undefined;
  readonly #token: number;
  #controller: AbortController | undefined;
  #aborted = false;
  #reason: unknown;

  constructor(callerId: number, deadlineMs: number, lender?: Lender, token = 0, window?: number) {
    this.window = window;
    this.callerId = callerId;
    this.deadlineMs = deadlineMs;
    this.#lender = lender;
    this.#token = token;
    lender?.hold(token, this);
  }

  get signal(): AbortSignal {
    if (this.#controller === undefined) {
      this.#controller = new AbortController();
      if (this.#aborted) this.#controller.abort(this.#reason);
    }
    return this.#controller.signal;
  }

  get remainingMs(): number {
    return Math.max(0, this.deadlineMs - this.clock.nowMs);
  }

  /** The caller does not want the answer any more. */
  abort(reason: unknown): void {
    if (this.#aborted) return;
    this.#aborted = true;
    this.#reason = reason;
    this.#controller?.abort(reason);
  }

  /** Whether the caller waits no longer, as far as is known here. */
  get expired(): boolean {
    return (
      this.#aborted || (this.deadlineMs !== Number.POSITIVE_INFINITY && this.clock.nowMs >= this.deadlineMs)
    );
  }

  /** The call is over. */
  [Symbol.dispose](): void {
    this.#lender?.giveBack(this.#token);
  }

  told(_event: number, _number: number, reason: unknown): void {
    this.abort(reason);
  }

  gone(error: SunstarError): void {
    this.abort(error);
  }
}

let current: CallContext | undefined;

/**
 * The call that the running method of a service serves. Ask for it before the first `await` of the method:
 * afterwards other calls run in between. Undefined outside of a method, and in calls to the own shard that were
 * given no options.
 */
export function currentCall(): CallContext | undefined {
  return current;
}

/** Makes a call the current one. @returns The one before, which has to come back when the method has returned. */
export function swapCall(call: CallContext | undefined): CallContext | undefined {
  const before = current;
  current = call;
  return before;
}

/** A call that cannot be given up. */
export class PlainCall implements CallContext {
  readonly callerId: number;

  constructor(callerId: number) {
    this.callerId = callerId;
  }

  /** A new one each time: whoever listens to it holds nothing but it. */
  get signal(): AbortSignal {
    return new AbortController().signal;
  }

  get remainingMs(): number {
    return Number.POSITIVE_INFINITY;
  }
}

/** How many elements of its result the call that these values came with wants ahead; see {@link ServedCall.window}. */
export function windowOf(moved: readonly Moved[] | undefined): number | undefined {
  const call = moved?.find(({ value }) => value instanceof ServedCall)?.value;
  return (call as ServedCall | undefined)?.window;
}
