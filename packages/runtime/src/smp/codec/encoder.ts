import { types } from 'node:util';
import type { ShardMemory } from '../../memory/index.js';
import { SLOT_BYTES } from '../layout.js';
import { FAR, PAYLOAD_BYTES_AT, PAYLOAD_WORDS_AT, wordOf } from '../message.js';
import { isMarked, Transferable } from '../transferable.js';
import { encodeBuiltin } from './encode-builtin.js';
import { encodeArray, encodePlain } from './encode-members.js';
import {
  EncodedObjects,
  notCloneable,
  pathText,
  RefusedValue,
  refuse,
  tooDeep,
  tooLarge,
} from './encode-support.js';
import { encodeError } from './error-codec.js';
import { DEFAULT_MESSAGE_LIMITS, type MessageLimits } from './limits.js';
import { MovingValues } from './moving-values.js';
import {
  TAG_BIGINT,
  TAG_BIGINT64,
  TAG_BYTES,
  TAG_FALSE,
  TAG_FLOAT64,
  TAG_INT32,
  TAG_NULL,
  TAG_REFERENCE,
  TAG_STRING,
  TAG_STRING_WIDE,
  TAG_STRING8,
  TAG_TRANSFER,
  TAG_TRUE,
  TAG_UNDEFINED,
} from './tags.js';
import { SHORT_COPY } from './text.js';
import { type Borrower, type Loans, type TransferType, transferTypeNamed } from './transfer.js';

const SHORT_STRING = 64;
const SMALLEST_BLOCK = 256;
const WORTH_SHRINKING = 4096;
const BEYOND_LATIN1 = /[^\0-\xff]/;

/**
 * Writes values into a slot image, and when they outgrow it into one block of the sender's arena, in one
 * pass. Reused for every message of a shard; not reentrant (see `busy`): a getter of an encoded object
 * may send a message of its own.
 */
export class Encoder {
  /** The slot image: the caller fills the header words, the encoder the payload. */
  readonly image: Int32Array;
  readonly #memory: ShardMemory;
  readonly #limits: MessageLimits;
  readonly #imageBytes: Buffer;
  readonly #imageView: DataView;
  readonly #objects = new EncodedObjects();
  readonly #path: (string | number)[] = [];
  readonly #moving = new MovingValues();
  #bytes: Buffer;
  #view: DataView;
  #at = 0;
  #start = 0;
  #limit = 0;
  #block = -1;
  #depth = 0;
  #busy = false;
  #canMove = false;

  constructor(memory: ShardMemory, limits: MessageLimits = DEFAULT_MESSAGE_LIMITS) {
    const buffer = new ArrayBuffer(SLOT_BYTES);
    this.image = new Int32Array(buffer);
    this.#imageBytes = Buffer.from(buffer);
    this.#imageView = new DataView(buffer);
    this.#bytes = this.#imageBytes;
    this.#view = this.#imageView;
    this.#memory = memory;
    this.#limits = limits;
  }

  /** Whether a message is being written. */
  get busy(): boolean {
    return this.#busy;
  }

  /** The arena block that the payload went to, or −1 when it is in the image. The caller owns it after `end()`. */
  get block(): number {
    return this.#block;
  }

  /** Whether anything in the message moves. */
  get moves(): boolean {
    return this.#moving.count !== 0;
  }

  /** Everything is ready to be sent. @throws What a value that moves has against it. */
  sending(borrower: Borrower): void {
    this.#moving.sending(borrower);
  }

  /** The message was sent: its values that move are the peer's now. */
  handOver(loans: Loans, borrower: Borrower): void {
    this.#moving.handOver(loans, borrower);
  }

  /**
   * Starts a message.
   *
   * @param canMove - Whether buffers and message ports can move to where it goes.
   */
  begin(canMove = false): void {
    this.#busy = true;
    this.#canMove = canMove;
    this.#bytes = this.#imageBytes;
    this.#view = this.#imageView;
    this.#at = PAYLOAD_BYTES_AT;
    this.#start = PAYLOAD_BYTES_AT;
    this.#limit = SLOT_BYTES;
    this.#block = -1;
  }

  /**
   * Writes one top-level value. On an error the message is given up and its memory freed.
   *
   * @param role - What the value is, for error messages, for example `result`.
   * @param index - Its place when there are several of that role: `arguments[0]`.
   * @throws SunstarError `SUNSTAR_NOT_CLONEABLE`, `SUNSTAR_MESSAGE_TOO_LARGE`, `SUNSTAR_MESSAGE_TOO_DEEP`;
   *   OutOfMemoryError; whatever a getter of the value throws.
   */
  write(value: unknown, role: string, index = -1): void {
    try {
      this.value(value);
    } catch (error) {
      const depth = this.#depth;
      this.abort();
      if (!(error instanceof RefusedValue)) throw error;
      throw notCloneable(pathText(index < 0 ? role : `${role}[${index}]`, this.#path, depth), error.message);
    }
  }

  /**
   * Finishes the message and writes its header.
   *
   * @param count - How many values were written.
   * @returns How many words of the image count.
   */
  end(kind: number, count: number, callId: number, target: number): number {
    const length = this.#at - this.#start;
    const image = this.image;
    image[1] = callId;
    image[2] = target;
    this.#busy = false;
    this.#objects.clear();
    if (this.#block < 0) {
      image[0] = kind | (count << 16);
      return PAYLOAD_WORDS_AT + ((length + 3) >>> 2);
    }
    if (this.#limit - this.#at > WORTH_SHRINKING) this.#memory.shrink(this.#block, length);
    image[0] = kind | FAR | (count << 16);
    image[3] = wordOf(this.#block);
    return PAYLOAD_WORDS_AT;
  }

  /** Gives the message up: nothing was sent. */
  abort(): void {
    this.#moving.drop(0);
    if (this.#block >= 0) this.#memory.free(this.#block);
    this.#block = -1;
    this.#depth = 0;
    this.#objects.clear();
    this.#busy = false;
  }

  // From here to `attempt`: for the encoder and the files beside it.

  /** Writes a value. */
  value(value: unknown): void {
    switch (typeof value) {
      case 'number':
        this.#number(value);
        return;
      case 'string':
        this.string(value);
        return;
      case 'object':
        if (value === null) this.tag(TAG_NULL);
        else this.#object(value);
        return;
      case 'boolean':
        this.tag(value ? TAG_TRUE : TAG_FALSE);
        return;
      case 'undefined':
        this.tag(TAG_UNDEFINED);
        return;
      case 'bigint':
        this.#bigint(value);
        return;
      default:
        throw refuse(value);
    }
  }

  /** Writes a string. */
  string(text: string): void {
    const length = text.length;
    if (length <= SHORT_STRING) {
      this.#ensure(length + 2);
      const bytes = this.#bytes;
      let at = this.#at;
      bytes[at++] = TAG_STRING8;
      bytes[at++] = length;
      let seen = 0;
      for (let index = 0; index < length; index++) {
        const code = text.charCodeAt(index);
        seen |= code;
        bytes[at++] = code;
      }
      if (seen <= 0xff) {
        this.#at = at;
        return;
      }
    } else if (Buffer.byteLength(text) === length || !BEYOND_LATIN1.test(text)) {
      this.#ensure(length + 5);
      this.#bytes[this.#at] = TAG_STRING;
      this.#view.setUint32(this.#at + 1, length, true);
      this.#bytes.write(text, this.#at + 5, length, 'latin1');
      this.#at += length + 5;
      return;
    }
    this.#ensure(length * 2 + 5);
    this.#bytes[this.#at] = TAG_STRING_WIDE;
    this.#view.setUint32(this.#at + 1, length, true);
    this.#bytes.write(text, this.#at + 5, length * 2, 'utf16le');
    this.#at += length * 2 + 5;
  }

  /** Writes a tag and a count. */
  counted(tag: number, count: number): void {
    this.#ensure(5);
    this.#bytes[this.#at] = tag;
    this.#view.setUint32(this.#at + 1, count, true);
    this.#at += 5;
  }

  /** Steps into a member of the value that is being written, named for error messages. */
  enter(name: string | number): void {
    if (this.#depth >= this.#limits.maxDepth) {
      throw tooDeep(this.#limits.maxDepth);
    }
    this.#path[this.#depth++] = name;
  }

  /** Steps out again. */
  leave(): void {
    this.#depth--;
  }

  /**
   * Writes a member, or nothing of it when it is not cloneable: what errors do with their properties,
   * because an error has to arrive. @returns Whether the member was written.
   */
  attempt(name: string, value: unknown): boolean {
    const at = this.#at - this.#start;
    const depth = this.#depth;
    const objects = this.#objects.count;
    const moving = this.#moving.count;
    try {
      this.string(name);
      this.enter(name);
      this.value(value);
      this.leave();
      return true;
    } catch (error) {
      if (!(error instanceof RefusedValue)) throw error;
      this.#at = this.#start + at;
      this.#depth = depth;
      this.#objects.truncate(objects);
      this.#moving.drop(moving);
      return false;
    }
  }

  /** Writes a tag that has nothing after it. */
  tag(tag: number): void {
    this.#ensure(1);
    this.#bytes[this.#at++] = tag;
  }

  #number(value: number): void {
    if ((value | 0) === value && !Object.is(value, -0)) {
      this.#ensure(5);
      this.#bytes[this.#at] = TAG_INT32;
      this.#view.setInt32(this.#at + 1, value, true);
      this.#at += 5;
    } else this.float(TAG_FLOAT64, value);
  }

  /** Writes a tag and a double. */
  float(tag: number, value: number): void {
    this.#ensure(9);
    this.#bytes[this.#at] = tag;
    this.#view.setFloat64(this.#at + 1, value, true);
    this.#at += 9;
  }

  #bigint(value: bigint): void {
    if (BigInt.asIntN(64, value) === value) {
      this.#ensure(9);
      this.#bytes[this.#at] = TAG_BIGINT64;
      this.#view.setBigInt64(this.#at + 1, value, true);
      this.#at += 9;
      return;
    }
    this.#ensure(2);
    this.#bytes[this.#at++] = TAG_BIGINT;
    this.#bytes[this.#at++] = value < 0n ? 1 : 0;
    this.string((value < 0n ? -value : value).toString(16));
  }

  #object(value: object): void {
    const known = this.#objects.indexOf(value);
    if (known >= 0) {
      this.counted(TAG_REFERENCE, known);
      return;
    }
    this.#objects.add(value);
    const prototype: unknown = Object.getPrototypeOf(value);
    if (prototype === Object.prototype || prototype === null) encodePlain(this, value);
    else if (Array.isArray(value)) encodeArray(this, value, this.#limits.maxMessageBytes);
    else if (this.#canMove && isMarked(value)) this.moveThroughPort(value);
    else if (value instanceof Uint8Array) this.bytesOf(TAG_BYTES, -1, value);
    else if (value instanceof Error || types.isNativeError(value)) encodeError(this, value);
    else encodeBuiltin(this, value);
  }

  /** Writes the own enumerable properties of an object. */
  plain(value: object): void {
    encodePlain(this, value);
  }

  /** Writes a tag, a kind unless it is negative, and bytes. */
  bytesOf(tag: number, kind: number, source: Uint8Array): void {
    const length = source.byteLength;
    this.#ensure(length + 6);
    this.#bytes[this.#at++] = tag;
    if (kind >= 0) this.#bytes[this.#at++] = kind;
    this.#view.setUint32(this.#at, length, true);
    const at = this.#at + 4;
    if (length > SHORT_COPY) this.#bytes.set(source, at);
    else for (let index = 0; index < length; index++) this.#bytes[at + index] = source[index];
    this.#at = at + length;
  }

  /** Whether buffers and message ports can move to where the message goes. */
  get canMove(): boolean {
    return this.#canMove;
  }

  /** Writes a value that the engine moves. */
  moveThroughPort(value: object): void {
    this.transfer(transferTypeNamed('transferable'), new Transferable(value));
  }

  /** Writes a value that moves. */
  transfer(type: TransferType<object>, value: object): void {
    const { token, parcel } = this.#moving.add(type, value);
    this.counted(TAG_TRANSFER, parcel.numbers.length);
    this.string(type.name);
    this.float(TAG_FLOAT64, token);
    for (const number of parcel.numbers) this.float(TAG_FLOAT64, number);
    this.value(parcel.extra);
  }

  #ensure(size: number): void {
    if (this.#at + size > this.#limit) this.#grow(size);
  }

  #grow(size: number): void {
    const used = this.#at - this.#start;
    const needed = used + size;
    if (needed > this.#limits.maxMessageBytes) throw tooLarge(needed, this.#limits.maxMessageBytes);
    const capacity = Math.max(SMALLEST_BLOCK, needed, (this.#limit - this.#start) * 2);
    const memory = this.#memory;
    const block = memory.allocate(capacity);
    const from = this.#start;
    if (used > SHORT_COPY) memory.bytes.set(this.#bytes.subarray(from, from + used), block);
    else for (let index = 0; index < used; index++) memory.bytes[block + index] = this.#bytes[from + index];
    if (this.#block >= 0) memory.free(this.#block);
    this.#bytes = memory.bytes;
    this.#view = memory.arena.view;
    this.#block = block;
    this.#start = block;
    this.#at = block + used;
    this.#limit = block + capacity;
  }
}
