import { SunstarError } from '../errors.js';
import { currentGroupId } from '../scheduling/index.js';
import { CallLimits, type GivingUp } from './call-limits.js';
import type { CallOptions } from './call-options.js';
import type { Caller } from './caller.js';
import { type Borrower, type Parcel, registerTransfer } from './codec/transfer.js';
import type { Link } from './link.js';
import type { PendingOptions, Resolve } from './pending-calls.js';
import { GIVE_UP, ServedCall } from './served-call.js';
import type { ServiceGroup, Waiter } from './service-group.js';
import { DEFAULT_WINDOW } from './stream-events.js';

/**
 * A call with options, on the asking side: waiting for room, then for its answer, then over. It travels before
 * the arguments, and arrives as a {@link ServedCall}.
 */
export class CallState extends CallLimits implements Parcel, PendingOptions, Waiter {
  previousWaiting: Waiter | undefined;
  nextWaiting: Waiter | undefined;
  readonly link: Link;
  readonly target: number;
  readonly args: readonly unknown[];
  readonly resolve: Resolve;
  readonly group: ServiceGroup | undefined;
  readonly #caller: Caller;
  /** Negative while it waits for room; for {@link Caller}. */
  callId = -1;
  /** The scheduling group that made the call. */
  readonly groupId: number = currentGroupId();
  readonly #window: number;
  #over = false;
  #borrower: Borrower | undefined;
  #token = 0;
  #why: GivingUp | undefined;

  constructor(
    caller: Caller,
    link: Link,
    target: number,
    args: readonly unknown[],
    options: CallOptions,
    resolve: Resolve,
  ) {
    super(options, caller.clocks);
    this.#caller = caller;
    this.link = link;
    this.target = target;
    this.args = args;
    this.resolve = resolve;
    this.group = options.serviceGroup;
    this.#window = options.window ?? DEFAULT_WINDOW;
  }

  get what(): string {
    return `${this.#caller.describe(this.link, this.target)} on shard ${this.link.peerId}`;
  }

  /** Goes off, or waits for room. */
  begin(): void {
    const why = this.arm();
    if (why !== undefined) {
      this.#over = true;
      this.#caller.reject(this.resolve, why, this.groupId);
      return;
    }
    if (this.group === undefined) {
      this.start();
      return;
    }
    try {
      this.group.enter(this.link.peerId, this);
    } catch (error) {
      this.#over = true;
      this.disarm();
      this.#caller.reject(this.resolve, { reason: error, error: () => error }, this.groupId);
    }
  }

  /** There is room. */
  start(): void {
    this.#caller.sendWith(this);
  }

  /** The answer has come, or never will. */
  ended(): void {
    this.#over = true;
    this.disarm();
    this.group?.done(this.link.peerId);
  }

  protected override giveUp(why: GivingUp): void {
    if (this.#over) return;
    this.#over = true;
    this.#why = why;
    const { link, group } = this;
    if (this.callId < 0) group?.leave(link.peerId, this);
    else if (this.#caller.giveUp(this.callId, link)) {
      group?.done(link.peerId);
      this.#tell();
    }
    this.#caller.reject(this.resolve, why, this.groupId);
  }

  // What goes to the other side.

  get numbers(): readonly number[] {
    return [this.deadlineMs, this.#window];
  }

  sent(borrower: Borrower, token: number): void {
    this.#borrower = borrower;
    this.#token = token;
    // Given up by a getter of an argument.
    if (this.#over) this.#tell();
  }

  release(): void {}

  #tell(): void {
    const borrower = this.#borrower;
    if (borrower === undefined) return;
    try {
      borrower.tellHolder(this.#token, GIVE_UP, 0, this.#why?.reason);
    } catch {
      // The reason cannot go there; that the call is over can.
      borrower.tellHolder(this.#token, GIVE_UP, 0, unknownReason());
    }
  }
}

function unknownReason(): SunstarError {
  return new SunstarError('SUNSTAR_ABORTED', 'The call was given up, for a reason that could not be sent.');
}

registerTransfer<CallState>({
  name: 'call',
  valueClass: CallState,
  ofCall: true,
  pack: (state) => state,
  receive: ([deadlineMs, window], token, lender): CallState =>
    // What arrives is the other side of it; only the server takes it.
    new ServedCall(lender.shardId, deadlineMs, lender, token, window) as object as CallState,
});
