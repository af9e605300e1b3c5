import { SunstarError } from '../errors.js';
import type { Arena, ShardMemory } from '../memory/index.js';
import { Decoder } from './codec/decoder.js';
import { Encoder } from './codec/encoder.js';
import type { MessageLimits } from './codec/limits.js';
import { ShortReader, ShortWriter } from './codec/short-values.js';
import type { Moved } from './codec/transfer.js';
import type { Link } from './link.js';
import {
  EVENT_BITS,
  FAR,
  FIELDS,
  MAX_ARGUMENTS,
  NOTIFY,
  OPTIONS,
  offsetOf,
  PAYLOAD_BYTES_AT,
  REPLY,
} from './message.js';
import type { ServiceFields } from './service-fields.js';

const NOTHING: readonly Moved[] = [];
/** The largest number of arguments that are read without an array. */
const MAX_SHORT = 3;
/** How many one-way messages share a slot with the first, at most. */
const MAX_MORE = 31;

/** Encodes messages and sends them. */
export class MessageWriter {
  readonly #memory: ShardMemory;
  readonly #limits: MessageLimits;
  readonly #encoder: Encoder;
  readonly #short: ShortWriter;

  /** @param slots - The control block, through an alias that is not shared. */
  constructor(memory: ShardMemory, limits: MessageLimits, slots: Int32Array) {
    this.#short = new ShortWriter(slots);
    this.#memory = memory;
    this.#limits = limits;
    this.#encoder = new Encoder(memory, limits);
  }

  /** Whether a message is being written; only inside a getter of one of its values. */
  get busy(): boolean {
    return this.#encoder.busy;
  }

  /**
   * Sends the arguments of a call to a peer, if they are few and short and there is room in the ring.
   *
   * @param args - At most three, see {@link ShortWriter}.
   * @returns False when nothing was sent: then use {@link postArguments}.
   */
  postShort(
    link: Link,
    kind: number,
    callId: number,
    target: number,
    args: readonly unknown[],
    hurry: boolean,
  ): boolean {
    const count = args.length;
    const slot = count > MAX_SHORT ? -1 : link.claim();
    if (slot < 0) return false;
    const short = this.#short;
    short.begin(slot);
    for (let index = 0; index < count; index++) if (!short.write(args[index])) return false;
    short.end(slot, kind, count, callId, target);
    link.commit(hurry);
    return true;
  }

  /**
   * Sends a one-way message if its arguments are few and short and there is room in the ring: with those before it that
   * are for the same method and were not shown yet, if it fits into their slot. What is true of {@link postShort} holds.
   */
  postShortNotice(link: Link, target: number, args: readonly unknown[]): boolean {
    const count = args.length;
    if (count > MAX_SHORT) return false;
    const short = this.#short;
    const open = link.openSlot;
    if (open >= 0) {
      const { words } = short;
      if (words[open + 2] === target && words[open] >>> 16 === count && words[open + 1] < MAX_MORE) {
        short.resume(open, link.openAt);
        if (this.#writeAll(args, count)) {
          words[open + 1]++;
          link.openAt = short.at;
          return true;
        }
      }
    }
    const slot = link.claim();
    if (slot < 0) return false;
    short.begin(slot);
    if (!this.#writeAll(args, count)) return false;
    short.end(slot, NOTIFY, count, 0, target);
    link.commitOpen(slot, short.at);
    return true;
  }

  #writeAll(args: readonly unknown[], count: number): boolean {
    for (let index = 0; index < count; index++) if (!this.#short.write(args[index])) return false;
    return true;
  }

  /** Sends the result of a call if it is short and there is room in the ring. @returns False when nothing was sent. */
  postShortAnswer(link: Link, callId: number, value: unknown, load: number): boolean {
    const slot = link.claim();
    if (slot < 0) return false;
    const short = this.#short;
    short.begin(slot);
    if (!short.write(value)) return false;
    short.end(slot, REPLY, 1, callId, load);
    link.commit(true);
    return true;
  }

  /**
   * Sends the arguments of a call to a peer.
   *
   * @param hurry - See {@link Link.send}.
   * @param options - What goes before the arguments: see {@link CallState}.
   * @throws What {@link Encoder.write} throws; then nothing was sent.
   */
  postArguments(
    link: Link,
    kind: number,
    callId: number,
    target: number,
    args: readonly unknown[],
    hurry: boolean,
    options?: object,
  ): void {
    const count = args.length;
    if (count > MAX_ARGUMENTS) {
      throw new SunstarError(
        'SUNSTAR_MESSAGE_TOO_LARGE',
        `A call to another shard has at most ${MAX_ARGUMENTS} arguments. Pass an array as one argument.`,
      );
    }
    const encoder = this.#begin(link);
    if (options !== undefined) encoder.write(options, 'options');
    for (let index = 0; index < count; index++) encoder.write(args[index], 'arguments', index);
    send(encoder, link, options === undefined ? kind : kind | OPTIONS, count, callId, target, hurry);
  }

  /**
   * Sends one value to a peer.
   *
   * @param role - What the value is, for error messages.
   * @throws What {@link Encoder.write} throws; then nothing was sent.
   */
  postValue(link: Link, kind: number, callId: number, value: unknown, role: string): void {
    const encoder = this.#begin(link);
    encoder.write(value, role);
    send(encoder, link, kind, 1, callId, 0, true);
  }

  /**
   * Sends the answer to a call.
   *
   * @param kind - REPLY or FAILURE.
   * @param load - What {@link loadWord} made.
   * @param fields - What else the service tells, written after the value.
   */
  postAnswer(
    link: Link,
    kind: number,
    callId: number,
    value: unknown,
    role: string,
    load: number,
    fields: ServiceFields | undefined,
  ): void {
    const encoder = this.#begin(link);
    encoder.write(value, role);
    if (fields?.write(encoder, link.peerId) !== true) send(encoder, link, kind, 1, callId, load, true);
    else {
      send(encoder, link, kind | FIELDS, 1, callId, load, true);
      fields.sent(link.peerId);
    }
  }

  /** Tells the other side something about a value that moved: see {@link Lender} and {@link Borrower}. */
  postEvent(link: Link, kind: number, token: number, event: number, number: number, value: unknown): void {
    const encoder = this.#begin(link);
    if (value !== undefined) encoder.write(value, 'value');
    send(encoder, link, kind, value === undefined ? 0 : 1, token | 0, event | (number << EVENT_BITS), true);
  }

  #begin(link: Link): Encoder {
    // A getter of a value that is being written may send a message of its own.
    const encoder = this.#encoder.busy ? new Encoder(this.#memory, this.#limits) : this.#encoder;
    encoder.begin(link.peer.port !== undefined);
    return encoder;
  }
}

function send(
  encoder: Encoder,
  link: Link,
  kind: number,
  count: number,
  callId: number,
  target: number,
  hurry: boolean,
): void {
  const words = encoder.end(kind, count, callId, target);
  // Stopped: a getter of a value has closed the mesh.
  if (encoder.moves) sendMoving(encoder, link);
  if (!link.stopped && link.send(encoder.image, words, encoder.block, hurry)) {
    if (encoder.moves) encoder.handOver(link.loans, link.peer);
    return;
  }
  encoder.abort();
  throw new SunstarError(
    link.stopped ? 'SUNSTAR_SHARD_STOPPED' : 'SUNSTAR_SMP_OVERLOADED',
    `A message to shard ${link.peerId} was not sent: the shard has stopped, or too much waits for it.`,
  );
}

/** Says to values that move that they are about to. */
function sendMoving(encoder: Encoder, link: Link): void {
  try {
    if (!link.stopped) encoder.sending(link.peer);
  } catch (error) {
    encoder.abort();
    throw error;
  }
}

/** Opens messages: in the slot, or in the arena of the peer that sent them. */
export class MessageReader {
  readonly #slots: Int32Array;
  readonly #slotBytes: Buffer;
  readonly #slotView: DataView;
  readonly #arenas: readonly Arena[];
  readonly #decoder = new Decoder();
  /** For messages with the flag SHORT. */
  readonly short: ShortReader;

  /** @param alias - The control block, through an alias that is not shared. */
  constructor(alias: ArrayBuffer, sizeBytes: number, arenas: readonly Arena[]) {
    this.#slots = new Int32Array(alias, 0, sizeBytes >>> 2);
    this.#slotBytes = Buffer.from(alias, 0, sizeBytes);
    this.#slotView = new DataView(alias, 0, sizeBytes);
    this.#arenas = arenas;
    this.short = new ShortReader(this.#slotBytes, this.#slotView);
  }

  /** The words of all slots. */
  get slots(): Int32Array {
    return this.#slots;
  }

  /** Whether the content of a message is being read. */
  get reading(): boolean {
    return this.#decoder.reading;
  }

  /** A decoder at the first value of the message in a slot; good until the next message is opened. */
  open(link: Link, slot: number): Decoder {
    const decoder = this.#decoder;
    decoder.lender = link.peer;
    if ((this.#slots[slot] & FAR) === 0) {
      decoder.begin(this.#slotBytes, this.#slotView, slot * 4 + PAYLOAD_BYTES_AT);
    } else {
      const arena = this.#arenas[link.peerId];
      decoder.begin(arena.bytes, arena.view, offsetOf(this.#slots[slot + 3]));
    }
    return decoder;
  }

  /**
   * Lets go of what moves in a message that nobody wants, or that could not be read to its end.
   *
   * @returns Where its last value ended.
   */
  discard(link: Link, slot: number): Decoder {
    const head = this.#slots[slot];
    const count = (head >>> 16) + ((head & OPTIONS) === 0 ? 0 : 1);
    const moved = this.#decoder.reading ? this.#decoder.takeMoved() : undefined;
    const decoder = this.open(link, slot);
    decoder.discard(count, moved);
    return decoder;
  }

  /** The value of a TO_LENDER or TO_HOLDER, undefined when there is none. What moved in it: {@link takeMoved}. */
  eventValue(link: Link, slot: number): unknown {
    if (this.#slots[slot] >>> 16 === 0) return undefined;
    try {
      return this.open(link, slot).value();
    } catch (error) {
      this.discard(link, slot);
      throw error;
    } finally {
      this.done(link, slot);
    }
  }

  /** What moved in the value that was read last, once. */
  takeMoved(): readonly Moved[] {
    return this.#decoder.takeMoved() ?? NOTHING;
  }

  /** A number of an answer that has no values: see OUT_OF_MEMORY in message.ts. */
  float(slot: number, index: number): number {
    return this.#slotView.getFloat64(slot * 4 + PAYLOAD_BYTES_AT + index * 8, true);
  }

  /** Says that a message was read: its block can go home. */
  done(link: Link, slot: number): void {
    this.#decoder.end();
    if ((this.#slots[slot] & FAR) !== 0) link.giveBack(offsetOf(this.#slots[slot + 3]));
  }
}
