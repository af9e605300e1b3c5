import * as scheduling from '../scheduling/index.js';
import { threadGroups } from '../scheduling/thread-scheduler.js';
import type { Clock } from '../sync/index.js';
import { type Answers, dropResult } from './answers.js';
import { overBeforeItBegan } from './call-limits.js';
import type { Decoder } from './codec/decoder.js';
import { dropMoved, type Moved, ofCall } from './codec/transfer.js';
import { callable, type Directory, type LocalService } from './directory.js';
import * as foreignObjects from './foreign-objects.js';
import { GroupCounts } from './group-counts.js';
import { GroupedCall, type Runs } from './grouped-call.js';
import { otherGroup, postTo } from './in-group.js';
import { type Begin, invoke, invokeShort, invokeWith } from './invoke.js';
import type { Link } from './link.js';
import * as message from './message.js';
import { groupOf, methodOf, serviceOf, withoutGroup } from './message.js';
import type { MessageReader } from './message-io.js';
import type { OwnLoad } from './own-load.js';
import { type PendingAnswer, PendingAnswers, type Settled } from './pending-answer.js';
import { type CallContext, type ServedCall, swapCall, windowOf } from './served-call.js';
import { isStream, StreamSource } from './stream-source.js';
import { uncaught } from './uncaught.js';

// Imported names are looked up at each use, constants of the module are not.
const { DEFAULT_GROUP_ID } = scheduling;
const { FOREIGN_SERVICE } = foreignObjects;
const { CALL, NOTIFY, OPTIONS, SHORT } = message;

/** Stands for the result of a call that runs in a later turn. */
const LATER: unique symbol = Symbol('later');

/** Runs the calls of other shards on this shard's services and answers them. */
export class Server implements Begin, Runs, Settled {
  readonly #answers: Answers;
  readonly #reader: MessageReader;
  readonly #directory: Directory;
  readonly #pending: PendingAnswers;
  readonly #slots: Int32Array;
  /** The service of objects that others point to. */
  readonly #foreign: LocalService;
  readonly #clock: Clock;
  readonly #load: OwnLoad;
  #served = 0;
  readonly #servedByGroup = new GroupCounts();
  #running = 0;
  /** What belongs to the call whose method begins. */
  #moved: readonly Moved[] | undefined;

  constructor(
    foreign: LocalService,
    answers: Answers,
    reader: MessageReader,
    directory: Directory,
    clock: Clock,
    load: OwnLoad,
  ) {
    this.#foreign = foreign;
    this.#clock = clock;
    this.#load = load;
    this.#answers = answers;
    this.#pending = new PendingAnswers(this);
    this.#slots = reader.slots;
    this.#reader = reader;
    this.#directory = directory;
  }

  /** Calls and one-way messages that were run. */
  get served(): number {
    return this.#served;
  }

  /** Those that are for a scheduling group; for a group that is not known here they are run by the default one. */
  servedFor(groupId: number): number {
    return this.#servedByGroup.of(groupId, this.#served);
  }

  /** Calls whose method has begun and not ended. */
  get running(): number {
    return this.#running;
  }

  /** Runs the call in a slot, or the one-way messages. Never throws: what fails is answered. @returns How many. */
  serve(link: Link, slot: number, kind: number): number {
    const slots = this.#slots;
    const head = slots[slot];
    const word = slots[slot + 2];
    const target = withoutGroup(word);
    const service = this.#serviceOf(target);
    const groupId = service.groupId < 0 ? groupOf(word) : service.groupId;
    const isShort = (head & SHORT) !== 0;
    const count = isShort && kind === NOTIFY ? 1 + slots[slot + 1] : 1;
    this.#served += count;
    if (groupId === DEFAULT_GROUP_ID && (head & OPTIONS) === 0) {
      if (!isShort) this.#serveInGeneral(link, slot, kind, service);
      else if (kind === CALL) this.#serveShort(link, slot, service);
      else this.#serveNotices(link, slot, count, service);
      return count;
    }
    if (groupId !== DEFAULT_GROUP_ID && threadGroups.byId(groupId) !== undefined)
      this.#servedByGroup.add(groupId, count);
    if (isShort && kind === NOTIFY) this.#postNotices(link, slot, count, groupId);
    else this.#serveWithOptions(link, slot, kind, groupId);
    return count;
  }

  #serveInGeneral(link: Link, slot: number, kind: number, service: LocalService): void {
    const slots = this.#slots;
    const head = slots[slot];
    const target = withoutGroup(slots[slot + 2]);
    const reader = this.#reader;
    const callId = slots[slot + 1];
    const outerMoved = this.#moved;
    const outerCall = swapCall(link.plainCall);
    const beganMs = this.#load.begin();
    this.#moved = undefined;
    let result: unknown;
    try {
      const decoder = reader.open(link, slot);
      result = invoke(callable(service), service.methods[methodOf(target)], decoder, head >>> 16, this);
    } catch (error) {
      if (reader.reading) reader.discard(link, slot);
      reader.done(link, slot);
      this.#finish(link, kind, callId, target, true, error, this.#endBegin(outerMoved, outerCall), beganMs);
      return;
    }
    reader.done(link, slot);
    const moved = this.#endBegin(outerMoved, outerCall);
    if (typeof result === 'object' || moved !== undefined) {
      this.#returned(link, kind, callId, target, false, result, moved, beganMs);
      return;
    }
    // The most frequent case: nothing that moves, waits or streams.
    if (beganMs >= 0) this.#load.ended(service.id, beganMs);
    if (kind === CALL) this.#answers.reply(link, callId, service, result);
  }

  /** Runs the call in a slot whose arguments are a few numbers and short strings: most calls are. */
  #serveShort(link: Link, slot: number, service: LocalService): void {
    const slots = this.#slots;
    const { short } = this.#reader;
    const count = slots[slot] >>> 16;
    const callId = slots[slot + 1];
    const target = withoutGroup(slots[slot + 2]);
    const outerCall = swapCall(link.plainCall);
    const beganMs = this.#load.begin();
    short.begin(slot);
    let result: unknown;
    try {
      result = invokeShort(callable(service), service.methods[methodOf(target)], short, count);
    } catch (error) {
      swapCall(outerCall);
      this.#finish(link, CALL, callId, target, true, error, undefined, beganMs);
      return;
    }
    swapCall(outerCall);
    if (typeof result === 'object') {
      this.#returned(link, CALL, callId, target, false, result, undefined, beganMs);
      return;
    }
    if (beganMs >= 0) this.#load.ended(service.id, beganMs);
    this.#answers.reply(link, callId, service, result);
  }

  /** Runs the one-way messages in a slot: all for the same method, with as many arguments each. */
  #serveNotices(link: Link, slot: number, count: number, service: LocalService): void {
    const slots = this.#slots;
    const { short } = this.#reader;
    const values = slots[slot] >>> 16;
    const target = withoutGroup(slots[slot + 2]);
    const instance = callable(service);
    const method = service.methods[methodOf(target)];
    short.begin(slot);
    let { begun } = short;
    for (let done = 0; done < count && !link.stopped; done++) {
      if (short.begun !== begun) {
        // A method has had messages of another shard read that has ended.
        short.beginAfter(slot, done * values);
        ({ begun } = short);
      }
      const outerCall = swapCall(link.plainCall);
      const beganMs = this.#load.begin();
      let result: unknown;
      let failed = false;
      try {
        result = invokeShort(instance, method, short, values);
      } catch (error) {
        failed = true;
        result = error;
      }
      swapCall(outerCall);
      if (failed || typeof result === 'object')
        this.#returned(link, NOTIFY, 0, target, failed, result, undefined, beganMs);
      else if (beganMs >= 0) this.#load.ended(service.id, beganMs);
    }
  }

  /** Has the one-way messages in a slot run in their scheduling group. */
  #postNotices(link: Link, slot: number, count: number, groupId: number): void {
    const slots = this.#slots;
    const { short } = this.#reader;
    const values = slots[slot] >>> 16;
    const target = withoutGroup(slots[slot + 2]);
    const calls: GroupedCall[] = [];
    short.begin(slot);
    for (let left = count; left > 0; left--) {
      const args: unknown[] = [];
      for (let index = 0; index < values; index++) args.push(short.value());
      calls.push(new GroupedCall(this, link, NOTIFY, 0, target, args, undefined, undefined));
    }
    const other = otherGroup(groupId);
    for (const call of calls) {
      this.#running++;
      if (other >= 0) postTo(other, call);
      else this.run(call);
    }
  }

  /** Runs the call in a slot that has limits, or belongs to a scheduling group. */
  #serveWithOptions(link: Link, slot: number, kind: number, groupId: number): void {
    const reader = this.#reader;
    const { slots } = reader;
    const head = slots[slot];
    const callId = slots[slot + 1];
    const target = withoutGroup(slots[slot + 2]);
    const service = this.#serviceOf(target);
    const other = otherGroup(groupId);
    const outerMoved = this.#moved;
    const outerCall = swapCall(link.plainCall);
    const beganMs = this.#load.begin();
    this.#moved = undefined;
    let result: unknown;
    let failed = false;
    try {
      const decoder = reader.open(link, slot);
      const call = (head & OPTIONS) === 0 ? undefined : this.#open(decoder.value() as ServedCall);
      const count = head >>> 16;
      if (other >= 0) {
        const args: unknown[] = [];
        for (let index = 0; index < count; index++) args.push(decoder.value());
        this.begin(decoder);
        this.#running++;
        postTo(other, new GroupedCall(this, link, kind, callId, target, args, call, this.#moved));
        result = LATER;
      } else {
        if (call !== undefined) this.#refuseExpired(call, target);
        result = invoke(callable(service), service.methods[methodOf(target)], decoder, count, this);
      }
    } catch (error) {
      if (reader.reading) reader.discard(link, slot);
      failed = true;
      result = error;
    }
    reader.done(link, slot);
    const moved = this.#endBegin(outerMoved, outerCall);
    if (result !== LATER) this.#returned(link, kind, callId, target, failed, result, moved, beganMs);
  }

  /** A method has returned: the call before goes on. @returns What belongs to the call that it ran for. */
  #endBegin(
    outerMoved: readonly Moved[] | undefined,
    outerCall: CallContext | undefined,
  ): readonly Moved[] | undefined {
    swapCall(outerCall);
    const moved = this.#moved;
    this.#moved = outerMoved;
    return moved;
  }

  /** Runs a call in the group that it belongs to. For {@link GroupedCall}. */
  run(grouped: GroupedCall): void {
    const { link, kind, callId, target, args, call, moved } = grouped;
    this.#running--;
    const service = this.#serviceOf(target);
    const outerCall = swapCall(call ?? link.plainCall);
    const beganMs = this.#load.begin();
    let result: unknown;
    let failed = false;
    try {
      if (call !== undefined) this.#refuseExpired(call, target);
      result = invokeWith(callable(service), service.methods[methodOf(target)], args);
    } catch (error) {
      failed = true;
      result = error;
    }
    swapCall(outerCall);
    this.#returned(link, kind, callId, target, failed, result, moved, beganMs);
  }

  /** The arguments of a call were read, its method begins. For {@link invoke}. */
  begin(decoder: Decoder): void {
    const moved = decoder.takeMoved();
    decoder.end();
    if (moved !== undefined) this.#moved = ofCall(moved);
  }

  /** Answers a call whose promise has settled. For {@link PendingAnswer}. */
  settled(answer: PendingAnswer, failed: boolean, value: unknown): void {
    const { link, kind, callId, target, moved, beganMs } = answer;
    this.#pending.giveBack(answer);
    this.#running--;
    if (link !== undefined) this.#finish(link, kind, callId, target, failed, value, moved, beganMs);
  }

  #serviceOf(target: number): LocalService {
    const id = serviceOf(target);
    return id === FOREIGN_SERVICE ? this.#foreign : this.#directory.local[id];
  }

  #open(call: ServedCall): ServedCall {
    call.clock = this.#clock;
    swapCall(call);
    return call;
  }

  #uncaught(link: Link, target: number, cause: unknown): void {
    const { name, methods } = this.#serviceOf(target);
    uncaught(name, methods[methodOf(target)], link.peerId, cause);
  }

  #refuseExpired(call: ServedCall, target: number): void {
    if (!call.expired) return;
    const { name, methods } = this.#serviceOf(target);
    throw overBeforeItBegan(name, methods[methodOf(target)]);
  }

  /** A method has returned or thrown. */
  #returned(
    link: Link,
    kind: number,
    callId: number,
    target: number,
    failed: boolean,
    result: unknown,
    moved: readonly Moved[] | undefined,
    beganMs: number,
  ): void {
    if (!failed) {
      try {
        if (isThenable(result)) {
          this.#await(result, link, kind, callId, target, moved, beganMs);
          return;
        }
      } catch (error) {
        failed = true;
        result = error;
      }
    }
    this.#finish(link, kind, callId, target, failed, result, moved, beganMs);
  }

  #finish(
    link: Link,
    kind: number,
    callId: number,
    target: number,
    failed: boolean,
    value: unknown,
    moved: readonly Moved[] | undefined,
    beganMs: number,
  ): void {
    if (beganMs >= 0) this.#load.ended(serviceOf(target), beganMs);
    if (!failed && isStream(value)) {
      // What belongs to the call lives as long as the stream.
      value = new StreamSource(value, moved, windowOf(moved));
      if (kind !== CALL || link.stopped) (value as StreamSource).release();
    } else if (moved !== undefined) dropMoved(moved);
    if (kind !== CALL) {
      if (failed) this.#uncaught(link, target, value);
      else dropResult(value);
    } else if (failed) this.#answers.fail(link, callId, this.#serviceOf(target), value);
    else this.#answers.reply(link, callId, this.#serviceOf(target), value);
  }

  #await(
    result: PromiseLike<unknown>,
    link: Link,
    kind: number,
    callId: number,
    target: number,
    moved: readonly Moved[] | undefined,
    beganMs: number,
  ): void {
    const answer = this.#pending.take();
    answer.link = link;
    answer.kind = kind;
    answer.callId = callId;
    answer.target = target;
    answer.moved = moved;
    answer.beganMs = beganMs;
    this.#running++;
    // A foreign thenable might settle twice or throw; a promise does neither.
    void Promise.resolve(result).then(answer.onFulfilled, answer.onRejected);
  }
}

function isThenable(value: unknown): value is PromiseLike<unknown> {
  return (
    typeof value === 'object' && value !== null && typeof (value as { then?: unknown }).then === 'function'
  );
}
