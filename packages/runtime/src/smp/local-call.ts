import { type CallClocks, CallLimits, type GivingUp } from './call-limits.js';
import type { CallOptions } from './call-options.js';
import { callable, type LocalService } from './directory.js';
import { rejected, rejectWith } from './remote-error.js';
import { ServedCall, swapCall } from './served-call.js';

/** Calls a method of this shard's own instance: at once, without a copy, and without a limit. */
export function callLocally(service: LocalService, name: string, args: readonly unknown[]): Promise<unknown> {
  const outer = swapCall(undefined);
  try {
    return Promise.resolve(callable(service)[name](...args));
  } catch (error) {
    return rejected(error);
  } finally {
    swapCall(outer);
  }
}

/** A call to the own shard with options: what ends it is the same as for a call to another. */
export class LocalCall extends CallLimits {
  readonly what: string;
  readonly #served: ServedCall;
  #resolve: (value: unknown) => void = () => {};

  constructor(shardId: number, what: string, options: CallOptions, clocks: CallClocks) {
    super(options, clocks);
    this.what = what;
    this.#served = new ServedCall(shardId, this.deadlineMs);
    this.#served.clock = clocks.clock;
  }

  /** Runs the method. */
  run(service: LocalService, name: string, args: readonly unknown[]): Promise<unknown> {
    return new Promise((resolve, reject) => {
      this.#resolve = resolve;
      const why = this.arm();
      if (why !== undefined) {
        this.giveUp(why);
        return;
      }
      const outer = swapCall(this.#served);
      try {
        Promise.resolve(callable(service)[name](...args)).then(
          (value) => this.#settle(resolve, value),
          (error: unknown) => this.#settle(reject, error),
        );
      } catch (error) {
        this.#settle(reject, error);
      } finally {
        swapCall(outer);
      }
    });
  }

  protected override giveUp(why: GivingUp): void {
    this.#served.abort(why.reason);
    rejectWith(this.#resolve, why.error);
  }

  #settle(settle: (value: unknown) => void, value: unknown): void {
    this.disarm();
    settle(value);
  }
}
