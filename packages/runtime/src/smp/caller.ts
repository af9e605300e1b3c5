import { OutOfMemoryError, type SunstarError } from '../errors.js';
import { currentGroupId, DEFAULT_GROUP_ID } from '../scheduling/index.js';
import type { CallClocks, GivingUp } from './call-limits.js';
import type { CallOptions } from './call-options.js';
import { CallState } from './call-state.js';
import type { Directory } from './directory.js';
import { GroupCounts } from './group-counts.js';
import { settleIn } from './in-group.js';
import type { Link } from './link.js';
import { CALL, FAILURE, FIELDS, inGroup, NOTIFY, OUT_OF_MEMORY, SHORT, serviceOf } from './message.js';
import type { MessageReader, MessageWriter } from './message-io.js';
import { GIVEN_UP, PendingCalls, type Resolve } from './pending-calls.js';
import { notSent, overloaded, rejected, rejectRemotely, rejectWith, unanswered } from './remote-error.js';
import { readFields } from './service-fields.js';

/** The calls of this shard to others: sends them, and settles their promises when answers arrive. */
export class Caller {
  readonly #writer: MessageWriter;
  readonly #reader: MessageReader;
  readonly #directory: Directory;
  readonly #maxOutstanding: number;
  /** Where the time of calls comes from. */
  readonly clocks: CallClocks;
  readonly #pending = new PendingCalls();
  /** One executor for all promises: a call makes its promise and no closure of its own. */
  readonly #capture: (resolve: Resolve) => void;
  #captured: Resolve = () => {};
  #sent = 0;
  readonly #sentByGroup = new GroupCounts();
  /** When the running turn began; set by the mesh. */
  turnMs = 0;

  constructor(
    writer: MessageWriter,
    reader: MessageReader,
    directory: Directory,
    maxOutstanding: number,
    clocks: CallClocks,
  ) {
    this.clocks = clocks;
    this.#writer = writer;
    this.#reader = reader;
    this.#directory = directory;
    this.#maxOutstanding = maxOutstanding;
    this.#capture = (resolve) => {
      this.#captured = resolve;
    };
  }

  /** Calls and one-way messages that were sent. */
  get sent(): number {
    return this.#sent;
  }

  /** Those that a scheduling group has sent. */
  sentBy(groupId: number): number {
    return this.#sentByGroup.of(groupId, this.#sent);
  }

  /** Calls that were given up, and not answered yet. */
  get givenUp(): number {
    return this.#pending.givenUp;
  }

  /** Calls that wait for an answer. */
  get outstanding(): number {
    return this.#pending.size;
  }

  /** Those that a scheduling group waits for, looked up anew. */
  outstandingOf(groupId: number): number {
    return this.#pending.sizeOf(groupId);
  }

  /** Calls a method. Never throws: what is wrong rejects the promise. */
  call(link: Link, target: number, args: readonly unknown[]): Promise<unknown> {
    if (link.stopped || link.outstanding >= this.#maxOutstanding || this.#pending.full) {
      return Promise.reject(this.#refusal(link, target));
    }
    const promise = new Promise<unknown>(this.#capture);
    const groupId = currentGroupId();
    const callId = this.#pending.add(this.#captured, link.peerId, target, groupId);
    if (groupId !== DEFAULT_GROUP_ID) {
      target = inGroup(target, groupId);
      this.#sentByGroup.add(groupId, 1);
    }
    // With calls outstanding the peer has something to do.
    const hurry = link.outstanding++ === 0;
    this.#sent++;
    if (this.#writer.postShort(link, CALL, callId, target, args, hurry)) return promise;
    try {
      this.#writer.postArguments(link, CALL, callId, target, args, hurry);
    } catch (error) {
      this.#sent--;
      if (groupId !== DEFAULT_GROUP_ID) this.#sentByGroup.add(groupId, -1);
      // Gone when a getter of an argument has closed the mesh: that has rejected it.
      if (this.#pending.take(callId, link.peerId) === undefined) return promise;
      link.outstanding--;
      return rejected(error);
    }
    return promise;
  }

  /** Calls a method with options. Never throws: what is wrong rejects the promise. */
  callWith(link: Link, target: number, args: readonly unknown[], options: CallOptions): Promise<unknown> {
    const promise = new Promise<unknown>(this.#capture);
    new CallState(this, link, target, args, options, this.#captured).begin();
    return promise;
  }

  /** Sends a call with options, or rejects it. For {@link CallState}. */
  sendWith(state: CallState): void {
    const { link, target, resolve } = state;
    if (link.stopped || link.outstanding >= this.#maxOutstanding || this.#pending.full) {
      state.ended();
      resolve(Promise.reject(this.#refusal(link, target)));
      return;
    }
    const callId = this.#pending.add(resolve, link.peerId, target, state.groupId, state);
    state.callId = callId;
    const hurry = link.outstanding++ === 0;
    try {
      const word = inGroup(target, state.groupId);
      this.#writer.postArguments(link, CALL, callId, word, state.args, hurry, state);
    } catch (error) {
      const taken = this.#pending.take(callId, link.peerId);
      // A getter of an argument has closed the mesh, or aborted the signal of the call.
      if (taken === undefined || taken === GIVEN_UP) return;
      link.outstanding--;
      resolve(rejected(error));
      return;
    }
    this.#sent++;
    if (state.groupId !== DEFAULT_GROUP_ID) this.#sentByGroup.add(state.groupId, 1);
  }

  /** Gives a call up that was sent: its answer will be dropped. For {@link CallState}. */
  giveUp(callId: number, link: Link): boolean {
    if (!this.#pending.giveUp(callId, link.peerId)) return false;
    link.outstanding--;
    return true;
  }

  /** Rejects the promise of a call that was given up. For {@link CallState}. */
  reject(resolve: Resolve, why: GivingUp, groupId: number): void {
    rejectWith(resolve, why.error, groupId);
  }

  /** `counters.increment`, for error messages. */
  describe(link: Link, target: number): string {
    return this.#directory.describe(link.peerId, target);
  }

  /** Calls a method one way. */
  notify(link: Link, target: number, args: readonly unknown[]): void {
    if (link.stopped || link.queued >= this.#maxOutstanding) throw this.#refusal(link, target);
    const groupId = currentGroupId();
    // In the target the default group is 0.
    if (groupId !== DEFAULT_GROUP_ID) target = inGroup(target, groupId);
    if (!this.#writer.postShortNotice(link, target, args))
      this.#writer.postArguments(link, NOTIFY, 0, target, args, false);
    this.#sent++;
    if (groupId !== DEFAULT_GROUP_ID) this.#sentByGroup.add(groupId, 1);
  }

  /** Settles the promise that an answer is for. */
  answered(link: Link, slot: number, kind: number): void {
    const reader = this.#reader;
    const { slots } = reader;
    const callId = slots[slot + 1];
    const target = this.#pending.target(callId);
    link.load.note(serviceOf(target), slots[slot + 2], this.turnMs);
    const groupId = this.#pending.group(callId);
    const resolve = this.#pending.take(callId, link.peerId);
    if (resolve === undefined || resolve === GIVEN_UP) {
      if (kind !== OUT_OF_MEMORY) this.#drop(link, slot, target);
      reader.done(link, slot);
      return;
    }
    link.outstanding--;
    if (kind === OUT_OF_MEMORY) {
      this.#rejectWithoutMemory(link, slot, target, resolve);
      return;
    }
    let value: unknown;
    if ((slots[slot] & SHORT) !== 0) {
      const { short } = reader;
      short.begin(slot);
      value = short.value();
      if (groupId === DEFAULT_GROUP_ID) resolve(value);
      else settleIn(groupId, resolve, value);
      return;
    }
    try {
      const decoder = reader.open(link, slot);
      value = decoder.value();
      if ((slots[slot] & FIELDS) !== 0) readFields(decoder, link.load, serviceOf(target));
    } catch (error) {
      this.#drop(link, slot, target);
      resolve(rejected(error));
      return;
    } finally {
      reader.done(link, slot);
    }
    if (kind === FAILURE)
      rejectRemotely(resolve, value, link.peerId, this.#directory.describe(link.peerId, target), groupId);
    else if (groupId === DEFAULT_GROUP_ID) resolve(value);
    else settleIn(groupId, resolve, value);
  }

  /** Nobody gets the value of an answer; what moves in it goes home. */
  #drop(link: Link, slot: number, target: number): void {
    const decoder = this.#reader.discard(link, slot);
    if ((this.#reader.slots[slot] & FIELDS) !== 0) readFields(decoder, link.load, serviceOf(target));
  }

  #rejectWithoutMemory(link: Link, slot: number, target: number, resolve: Resolve): void {
    const method = this.#directory.describe(link.peerId, target);
    const requested = this.#reader.float(slot, 0);
    const free = this.#reader.float(slot, 1);
    const error = new OutOfMemoryError(
      requested,
      free,
      `Shard ${link.peerId} had no memory for the answer of ${method}(): no block of ${requested} bytes, ` +
        `${free} bytes free in all. Ask for less at once, or start the runtime with more \`memory\`.`,
    );
    rejectRemotely(resolve, error, link.peerId, method, DEFAULT_GROUP_ID);
  }

  /** Rejects all calls to a peer that answers no more. */
  abandon(link: Link): void {
    this.#pending.takeAll(link.peerId, (resolve, target) => {
      const method = this.#directory.describe(link.peerId, target);
      rejectWith(resolve, () => unanswered(link, method));
    });
    link.outstanding = 0;
  }

  invariants(): void {
    this.#pending.invariants();
  }

  #refusal(link: Link, target: number): SunstarError {
    const method = this.#directory.describe(link.peerId, target);
    if (link.stopped) return notSent(link, method);
    return overloaded(link.peerId, method, this.#maxOutstanding);
  }
}
