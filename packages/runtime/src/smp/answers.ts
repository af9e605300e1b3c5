import { inspect } from 'node:util';
import { OutOfMemoryError, SunstarError } from '../errors.js';
import { transferTypeOf } from './codec/transfer.js';
import type { LocalService } from './directory.js';
import type { Link } from './link.js';
import { FAILURE, OUT_OF_MEMORY, PAYLOAD_WORDS_AT, REPLY } from './message.js';
import type { MessageWriter } from './message-io.js';
import type { OwnLoad } from './own-load.js';

/** Sends the answers of this shard's services. Each brings the load of this shard along. */
export class Answers {
  readonly #writer: MessageWriter;
  readonly #load: OwnLoad;
  /** The answer for which no memory is needed: two doubles after the header. */
  readonly #bare = new Int32Array(PAYLOAD_WORDS_AT + 4);
  readonly #bareFloats = new Float64Array(this.#bare.buffer, PAYLOAD_WORDS_AT * 4, 2);

  constructor(writer: MessageWriter, load: OwnLoad) {
    this.#writer = writer;
    this.#load = load;
  }

  /** Answers with a result, or with what is wrong with it. */
  reply(link: Link, callId: number, service: LocalService, value: unknown): void {
    if (link.stopped) {
      dropResult(value);
      return;
    }
    const load = this.#load.word(service.id);
    const { fields } = service;
    if (fields === undefined && this.#writer.postShortAnswer(link, callId, value, load)) return;
    try {
      this.#writer.postAnswer(link, REPLY, callId, value, 'result', load, fields);
    } catch (error) {
      dropResult(value);
      this.fail(link, callId, service, error);
    }
  }

  /** Answers with what was thrown. */
  fail(link: Link, callId: number, service: LocalService, thrown: unknown): void {
    if (link.stopped) return;
    const load = this.#load.word(service.id);
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
      `The call threw ${textOf(thrown)}, which could not be sent: ${because}`,
    );
    try {
      this.#writer.postAnswer(link, FAILURE, callId, error, 'error', load, undefined);
    } catch (second) {
      if (!(second instanceof OutOfMemoryError)) throw second;
      this.#failWithoutMemory(link, callId, load, second);
    }
  }

  #failWithoutMemory(link: Link, callId: number, load: number, error: OutOfMemoryError): void {
    this.#bare[0] = OUT_OF_MEMORY;
    this.#bare[1] = callId;
    this.#bare[2] = load;
    this.#bareFloats[0] = error.requestedBytes;
    this.#bareFloats[1] = error.freeBytes;
    link.send(this.#bare, this.#bare.length, -1, true);
  }
}

/** Lets go of a result that nobody gets. */
export function dropResult(value: unknown): void {
  if (typeof value !== 'object' || value === null || transferTypeOf(value) === undefined) return;
  (value as Partial<Disposable>)[Symbol.dispose]?.();
}

function textOf(value: unknown): string {
  const text = inspect(value, { depth: 0, getters: false, customInspect: false, maxStringLength: 200 });
  return text.length > 500 ? `${text.slice(0, 500)}…` : text;
}
