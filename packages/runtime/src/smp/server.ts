import { inspect } from 'node:util';
import { OutOfMemoryError, SunstarError } from '../errors.js';
import { DEFAULT_GROUP_ID } from '../scheduling/index.js';
import type { Task } from '../scheduling/task.js';
import type { Clock } from '../sync/index.js';
import type { Decoder } from './codec/decoder.js';
import { dropMoved, type Moved, ofCall, transferTypeOf } from './codec/transfer.js';
import { callable, type Directory, type LocalService } from './directory.js';
import { FOREIGN_SERVICE } from './foreign-objects.js';
import { otherGroup, postTo } from './in-group.js';
import { type Begin, invoke, invokeShort, invokeWith } from './invoke.js';
import type { Link } from './link.js';
import {
  CALL,
  FAILURE,
  groupOf,
  methodOf,
  OPTIONS,
  OUT_OF_MEMORY,
  PAYLOAD_WORDS_AT,
  REPLY,
  SHORT,
  serviceOf,
  withoutGroup,
} from './message.js';
import type { MessageReader, MessageWriter } from './message-io.js';
import type { OwnLoad } from './own-load.js';
import { type CallContext, ServedCall, swapCall } from './served-call.js';
import { isStream, StreamSource } from './stream-source.js';

/** How many answers are kept to be used again. */
const IDLE_MAX = 1024;

/** Stands for the result of a call that runs in a later turn. */
const LATER: unique symbol = Symbol('later');

/** Runs the calls of other shards on this shard's services and answers them. */
export class Server implements Begin {
  readonly #writer: MessageWriter;
  readonly #reader: MessageReader;
  readonly #directory: Directory;
  /** Answers that are not waited for at the moment, to be used again. */
  readonly #idle: PendingAnswer[] = [];
  /** The short answer: two doubles after the header. */
  readonly #short = new Int32Array(PAYLOAD_WORDS_AT + 4);
  readonly #shortFloats = new Float64Array(this.#short.buffer, PAYLOAD_WORDS_AT * 4, 2);
  /** The service of objects that others point to. */
  readonly #foreign: LocalService;
  readonly #clock: Clock;
  readonly #load: OwnLoad;
  #served = 0;
  #running = 0;
  /** What belongs to the call whose method begins. */
  #moved: readonly Moved[] | undefined;

  constructor(
    foreign: LocalService,
    writer: MessageWriter,
    reader: MessageReader,
    directory: Directory,
    clock: Clock,
    load: OwnLoad,
  ) {
    this.#foreign = foreign;
    this.#clock = clock;
    this.#load = load;
    this.#writer = writer;
    this.#reader = reader;
    this.#directory = directory;
  }

  /** Calls and one-way messages that were run. */
  get served(): number {
    return this.#served;
  }

  /** Calls whose method has begun and not ended. */
  get running(): number {
    return this.#running;
  }

  /** Runs the call in a slot. Never throws: what fails is answered. */
  serve(link: Link, slot: number, kind: number): void {
    const reader = this.#reader;
    const { slots } = reader;
    const head = slots[slot];
    const word = slots[slot + 2];
    const target = withoutGroup(word);
    const service = this.#serviceOf(target);
    const groupId = service.groupId < 0 ? groupOf(word) : service.groupId;
    this.#served++;
    if ((head & OPTIONS) !== 0 || groupId !== DEFAULT_GROUP_ID) {
      this.#serveWithOptions(link, slot, kind, groupId);
      return;
    }
    if ((head & SHORT) !== 0) {
      this.#serveShort(link, slot, kind, service);
      return;
    }
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
    if (kind === CALL) this.#reply(link, callId, target, result);
  }

  /** Runs the call in a slot whose arguments are a few numbers and short strings: most calls are. */
  #serveShort(link: Link, slot: number, kind: number, service: LocalService): void {
    const { slots, short } = this.#reader;
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
      this.#finish(link, kind, callId, target, true, error, undefined, beganMs);
      return;
    }
    swapCall(outerCall);
    if (typeof result === 'object') {
      this.#returned(link, kind, callId, target, false, result, undefined, beganMs);
      return;
    }
    if (beganMs >= 0) this.#load.ended(service.id, beganMs);
    if (kind === CALL) this.#reply(link, callId, target, result);
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

  /** Makes what a one-way call threw an unhandled rejection of this shard: nobody else would learn of it. */
  uncaught(target: number, callerId: number, cause: unknown): void {
    const service = this.#serviceOf(target);
    void Promise.reject(
      new SunstarError(
        'SUNSTAR_NOTIFY_FAILED',
        `${service.name}.${service.methods[methodOf(target)]}(), called one way by shard ${callerId}, failed. ` +
          'Nobody waits for its answer: handle the error in the method, or call it with on() and await it.',
        { cause },
      ),
    );
  }

  /** Answers a call whose promise has settled. For {@link PendingAnswer}. */
  settled(answer: PendingAnswer, failed: boolean, value: unknown): void {
    const { link, kind, callId, target, moved, beganMs } = answer;
    answer.link = undefined;
    answer.moved = undefined;
    if (this.#idle.length < IDLE_MAX) this.#idle.push(answer);
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

  #refuseExpired(call: ServedCall, target: number): void {
    if (!call.expired) return;
    const service = this.#serviceOf(target);
    throw new SunstarError(
      'SUNSTAR_CALL_TIMEOUT',
      `The time of the call of ${service.name}.${service.methods[methodOf(target)]}() was over before it began.`,
    );
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
      if (failed) this.uncaught(target, link.peerId, value);
      else dropResult(value);
    } else if (failed) this.#fail(link, callId, target, value);
    else this.#reply(link, callId, target, value);
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
    const answer = this.#idle.pop() ?? new PendingAnswer(this);
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

  #reply(link: Link, callId: number, target: number, value: unknown): void {
    if (link.stopped) {
      dropResult(value);
      return;
    }
    try {
      const serviceId = serviceOf(target);
      const { fields } = this.#serviceOf(target);
      const load = this.#load.word(serviceId);
      if (fields === undefined && this.#writer.postShortAnswer(link, callId, value, load)) return;
      this.#writer.postAnswer(link, REPLY, callId, value, 'result', load, fields);
    } catch (error) {
      dropResult(value);
      this.#fail(link, callId, target, error);
    }
  }

  #fail(link: Link, callId: number, target: number, thrown: unknown): void {
    if (link.stopped) return;
    const load = this.#load.word(serviceOf(target));
    try {
      this.#writer.postAnswer(link, FAILURE, callId, thrown, 'error', load, undefined);
    } catch (error) {
      if (error instanceof OutOfMemoryError) this.#failWithoutMemory(link, callId, load, error);
      else this.#failSafely(link, callId, load, thrown, error);
    }
  }

  /** What was thrown cannot be sent, or a getter of it threw: says at least that. */
  #failSafely(link: Link, callId: number, load: number, thrown: unknown, cause: unknown): void {
    if (link.stopped) return;
    const because = cause instanceof SunstarError ? cause.message : 'reading it failed.';
    const error = new SunstarError(
      'SUNSTAR_NOT_CLONEABLE',
      `The call threw ${shortText(thrown)}, which could not be sent: ${because}`,
    );
    try {
      this.#writer.postAnswer(link, FAILURE, callId, error, 'error', load, undefined);
    } catch (second) {
      if (!(second instanceof OutOfMemoryError)) throw second;
      this.#failWithoutMemory(link, callId, load, second);
    }
  }

  #failWithoutMemory(link: Link, callId: number, load: number, error: OutOfMemoryError): void {
    this.#short[0] = OUT_OF_MEMORY;
    this.#short[1] = callId;
    this.#short[2] = load;
    this.#shortFloats[0] = error.requestedBytes;
    this.#shortFloats[1] = error.freeBytes;
    link.send(this.#short, this.#short.length, -1, true);
  }
}

/** An answer that waits for a promise; pooled, with its two callbacks. */
class PendingAnswer {
  link: Link | undefined;
  kind = 0;
  callId = 0;
  target = 0;
  moved: readonly Moved[] | undefined;
  beganMs = 0.5;
  readonly onFulfilled: (value: unknown) => void;
  readonly onRejected: (error: unknown) => void;

  constructor(server: Server) {
    this.onFulfilled = (value) => server.settled(this, false, value);
    this.onRejected = (error) => server.settled(this, true, error);
  }
}

/** A call that waits for a turn of its scheduling group. */
class GroupedCall implements Task {
  readonly #server: Server;
  readonly link: Link;
  readonly kind: number;
  readonly callId: number;
  readonly target: number;
  readonly args: readonly unknown[];
  readonly call: ServedCall | undefined;
  readonly moved: readonly Moved[] | undefined;

  constructor(
    server: Server,
    link: Link,
    kind: number,
    callId: number,
    target: number,
    args: readonly unknown[],
    call: ServedCall | undefined,
    moved: readonly Moved[] | undefined,
  ) {
    this.#server = server;
    this.link = link;
    this.kind = kind;
    this.callId = callId;
    this.target = target;
    this.args = args;
    this.call = call;
    this.moved = moved;
  }

  complete(): void {
    this.#server.run(this);
  }
}

function isThenable(value: unknown): value is PromiseLike<unknown> {
  return (
    typeof value === 'object' && value !== null && typeof (value as { then?: unknown }).then === 'function'
  );
}

function windowOf(moved: readonly Moved[] | undefined): number | undefined {
  const call = moved?.find(({ value }) => value instanceof ServedCall)?.value;
  return (call as ServedCall | undefined)?.window;
}

/** Lets go of a result that nobody gets. */
function dropResult(value: unknown): void {
  if (typeof value !== 'object' || value === null || transferTypeOf(value) === undefined) return;
  (value as Partial<Disposable>)[Symbol.dispose]?.();
}

function shortText(value: unknown): string {
  const text = inspect(value, { depth: 0, getters: false, customInspect: false, maxStringLength: 200 });
  return text.length > 500 ? `${text.slice(0, 500)}…` : text;
}
