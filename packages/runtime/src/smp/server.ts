import { inspect } from 'node:util';
import { OutOfMemoryError, SunstarError } from '../errors.js';
import { callable, type Directory } from './directory.js';
import { invoke } from './invoke.js';
import type { Link } from './link.js';
import { CALL, FAILURE, OUT_OF_MEMORY, PAYLOAD_WORDS_AT, REPLY } from './message.js';
import type { MessageReader, MessageWriter } from './message-io.js';

/** How many answers are kept to be used again. */
const IDLE_MAX = 1024;

/** Runs the calls of other shards on this shard's services and answers them. */
export class Server {
  readonly #writer: MessageWriter;
  readonly #reader: MessageReader;
  readonly #directory: Directory;
  /** Answers that are not waited for at the moment, to be used again. */
  readonly #idle: PendingAnswer[] = [];
  /** The short answer: two doubles after the header. */
  readonly #short = new Int32Array(PAYLOAD_WORDS_AT + 4);
  readonly #shortFloats = new Float64Array(this.#short.buffer, PAYLOAD_WORDS_AT * 4, 2);
  #served = 0;

  constructor(writer: MessageWriter, reader: MessageReader, directory: Directory) {
    this.#writer = writer;
    this.#reader = reader;
    this.#directory = directory;
  }

  /** Calls and one-way messages that were run. */
  get served(): number {
    return this.#served;
  }

  /** Runs the call in a slot. Never throws: what fails is answered. */
  serve(link: Link, slot: number, kind: number): void {
    const reader = this.#reader;
    const callId = reader.slots[slot + 1];
    const target = reader.slots[slot + 2];
    this.#served++;
    let result: unknown;
    try {
      const service = this.#directory.local[target >>> 16];
      const count = reader.slots[slot] >>> 16;
      result = invoke(callable(service), service.methods[target & 0xffff], reader.open(link, slot), count);
      if (isThenable(result)) {
        this.#await(result, link, kind, callId, target);
        return;
      }
    } catch (error) {
      if (kind === CALL) this.#fail(link, callId, error);
      else this.uncaught(target, link.peerId, error);
      return;
    } finally {
      reader.done(link, slot);
    }
    if (kind === CALL) this.#reply(link, callId, result);
  }

  /** Makes what a one-way call threw an unhandled rejection of this shard: nobody else would learn of it. */
  uncaught(target: number, callerId: number, cause: unknown): void {
    const service = this.#directory.local[target >>> 16];
    void Promise.reject(
      new SunstarError(
        'SUNSTAR_NOTIFY_FAILED',
        `${service.name}.${service.methods[target & 0xffff]}(), called one way by shard ${callerId}, failed. ` +
          'Nobody waits for its answer: handle the error in the method, or call it with on() and await it.',
        { cause },
      ),
    );
  }

  /** Answers a call whose promise has settled. For {@link PendingAnswer}. */
  settled(answer: PendingAnswer, failed: boolean, value: unknown): void {
    const { link, kind, callId, target } = answer;
    answer.link = undefined;
    if (this.#idle.length < IDLE_MAX) this.#idle.push(answer);
    if (link === undefined) return;
    if (kind === CALL) {
      if (failed) this.#fail(link, callId, value);
      else this.#reply(link, callId, value);
    } else if (failed) this.uncaught(target, link.peerId, value);
  }

  #await(result: PromiseLike<unknown>, link: Link, kind: number, callId: number, target: number): void {
    const answer = this.#idle.pop() ?? new PendingAnswer(this);
    answer.link = link;
    answer.kind = kind;
    answer.callId = callId;
    answer.target = target;
    // A foreign thenable might settle twice or throw; a promise does neither.
    void Promise.resolve(result).then(answer.onFulfilled, answer.onRejected);
  }

  #reply(link: Link, callId: number, value: unknown): void {
    if (link.stopped) return;
    try {
      this.#writer.postValue(link, REPLY, callId, value, 'result');
    } catch (error) {
      this.#fail(link, callId, error);
    }
  }

  #fail(link: Link, callId: number, thrown: unknown): void {
    if (link.stopped) return;
    try {
      this.#writer.postValue(link, FAILURE, callId, thrown, 'error');
    } catch (error) {
      if (error instanceof OutOfMemoryError) this.#failWithoutMemory(link, callId, error);
      else this.#failSafely(link, callId, thrown, error);
    }
  }

  /** What was thrown cannot be sent, or a getter of it threw: says at least that. */
  #failSafely(link: Link, callId: number, thrown: unknown, cause: unknown): void {
    if (link.stopped) return;
    const because = cause instanceof SunstarError ? cause.message : 'reading it failed.';
    const error = new SunstarError(
      'SUNSTAR_NOT_CLONEABLE',
      `The call threw ${shortText(thrown)}, which could not be sent: ${because}`,
    );
    try {
      this.#writer.postValue(link, FAILURE, callId, error, 'error');
    } catch (second) {
      if (!(second instanceof OutOfMemoryError)) throw second;
      this.#failWithoutMemory(link, callId, second);
    }
  }

  #failWithoutMemory(link: Link, callId: number, error: OutOfMemoryError): void {
    this.#short[0] = OUT_OF_MEMORY;
    this.#short[1] = callId;
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
  readonly onFulfilled: (value: unknown) => void;
  readonly onRejected: (error: unknown) => void;

  constructor(server: Server) {
    this.onFulfilled = (value) => server.settled(this, false, value);
    this.onRejected = (error) => server.settled(this, true, error);
  }
}

function isThenable(value: unknown): value is PromiseLike<unknown> {
  return (
    typeof value === 'object' && value !== null && typeof (value as { then?: unknown }).then === 'function'
  );
}

function shortText(value: unknown): string {
  const text = inspect(value, { depth: 0, getters: false, customInspect: false, maxStringLength: 200 });
  return text.length > 500 ? `${text.slice(0, 500)}…` : text;
}
