import { deserialize } from 'node:v8';
import { SunstarError } from '../../errors.js';
import { decodeError } from './error-codec.js';
import {
  TAG_ARRAY,
  TAG_BIGINT,
  TAG_BIGINT64,
  TAG_BYTES,
  TAG_CLONED,
  TAG_DATE,
  TAG_ERROR,
  TAG_FALSE,
  TAG_FLOAT64,
  TAG_HOLE,
  TAG_INT32,
  TAG_MAP,
  TAG_NULL,
  TAG_OBJECT,
  TAG_REFERENCE,
  TAG_REGEXP,
  TAG_SET,
  TAG_STRING,
  TAG_STRING_WIDE,
  TAG_STRING8,
  TAG_TRANSFER,
  TAG_TRUE,
  TAG_UNDEFINED,
  TAG_VIEW,
  VIEW_CONSTRUCTORS,
} from './tags.js';
import { KeyCache, SHORT_COPY, shortText } from './text.js';
import { dropMoved, type Lender, type Moved, receiveTransfer } from './transfer.js';

const MANY = 1024;

/** Up to here `Buffer.copy` reads from where it should. */
const COPY_LIMIT = 2 ** 32;

/**
 * Reads values out of a slot or an arena block; everything it returns is a copy. Reused for every message
 * of a shard and not reentrant: decoding runs no user code.
 */
export class Decoder {
  /** Who sent the message; needed for values that move. */
  lender: Lender | undefined;
  /** Values of this message that moved. */
  #moved: Moved[] | undefined;
  /** What was taken out of a message before it is discarded. */
  #taken: readonly Moved[] | undefined;
  /** Set while a message is read of which nobody wants anything. */
  #discarding = false;
  #reading = false;
  /** Objects by number; places from `#objectCount` on are free. */
  readonly #objects: unknown[] = [];
  readonly #keys = new KeyCache();
  #bytes: Buffer = Buffer.alloc(0);
  #view: DataView = new DataView(new ArrayBuffer(0));
  #at = 0;
  #objectCount = 0;

  /**
   * Starts a message.
   *
   * @param bytes - The memory, through a view that is not shared.
   * @param view - The same memory.
   * @param at - Where the payload begins.
   */
  begin(bytes: Buffer, view: DataView, at: number): void {
    this.#bytes = bytes;
    this.#view = view;
    this.#at = at;
    this.#reading = true;
    this.#moved = undefined;
    // What a message that was not read to its end left behind.
    if (this.#objectCount !== 0) this.#forget();
  }

  /** Whether a message has begun and not ended: what is thrown then comes from its content. */
  get reading(): boolean {
    return this.#reading;
  }

  /** The values of this message that moved, once; undefined when there are none. */
  takeMoved(): readonly Moved[] | undefined {
    const moved = this.#moved;
    this.#moved = undefined;
    return moved;
  }

  /**
   * Reads a message that has just begun for nothing but to let go of what moves in it.
   *
   * @param count - How many values it has.
   * @param moved - What was taken out of it before.
   */
  discard(count: number, moved: readonly Moved[] | undefined): void {
    this.#discarding = true;
    this.#taken = moved;
    try {
      for (let index = 0; index < count; index++) this.value();
    } finally {
      this.#discarding = false;
      this.#taken = undefined;
      this.end();
      if (moved !== undefined) dropMoved(moved);
    }
  }

  /** Reads the next value. */
  value(): unknown {
    const bytes = this.#bytes;
    const tag = bytes[this.#at++];
    switch (tag) {
      case TAG_INT32: {
        const at = this.#at;
        this.#at = at + 4;
        return this.#view.getInt32(at, true);
      }
      case TAG_STRING8: {
        const at = this.#at;
        const length = bytes[at];
        this.#at = at + 1 + length;
        return shortText(bytes, at + 1, length);
      }
      case TAG_UNDEFINED:
        return undefined;
      case TAG_NULL:
        return null;
      case TAG_FALSE:
        return false;
      case TAG_TRUE:
        return true;
      case TAG_FLOAT64:
        return this.#float();
      case TAG_BIGINT64:
        this.#at += 8;
        return this.#view.getBigInt64(this.#at - 8, true);
      case TAG_BIGINT: {
        const negative = bytes[this.#at++] === 1;
        const magnitude = BigInt(`0x${this.value() as string}`);
        return negative ? -magnitude : magnitude;
      }
      case TAG_STRING: {
        const length = this.#count();
        const at = this.#skip(length);
        return bytes.toString('latin1', at, at + length);
      }
      case TAG_STRING_WIDE: {
        const length = this.#count() * 2;
        const at = this.#skip(length);
        return bytes.toString('utf16le', at, at + length);
      }
      default:
        return this.#object(tag);
    }
  }

  /** Notes an object that begins, so that a later reference finds it. */
  began(object: unknown): void {
    this.#objects[this.#objectCount++] = object;
  }

  /** Ends the message, and forgets its objects. */
  end(): void {
    this.#reading = false;
    if (this.#objectCount !== 0) this.#forget();
  }

  #forget(): void {
    // Shortening an array costs more than emptying a few places.
    if (this.#objectCount > MANY) this.#objects.length = 0;
    else while (this.#objectCount > 0) this.#objects[--this.#objectCount] = undefined;
    this.#objectCount = 0;
  }

  #object(tag: number): unknown {
    switch (tag) {
      case TAG_OBJECT:
        return this.#plain();
      case TAG_ARRAY:
        return this.#array();
      case TAG_BYTES: {
        const length = this.#count();
        const copy = Buffer.allocUnsafe(length);
        this.#copyInto(copy);
        this.began(copy);
        return copy;
      }
      case TAG_VIEW:
        return this.#viewOf();
      case TAG_MAP:
        return this.#map();
      case TAG_SET: {
        const count = this.#count();
        const set = new Set<unknown>();
        this.began(set);
        for (let index = 0; index < count; index++) set.add(this.value());
        return set;
      }
      case TAG_DATE: {
        const date = new Date(this.#float());
        this.began(date);
        return date;
      }
      case TAG_REGEXP: {
        const source = this.value() as string;
        const flags = this.value() as string;
        const expression = this.#discarding ? undefined : new RegExp(source, flags);
        this.began(expression);
        return expression;
      }
      case TAG_ERROR:
        return decodeError(this, this.#count());
      case TAG_CLONED: {
        const copy = Buffer.allocUnsafeSlow(this.#count());
        this.#copyInto(copy);
        const value: unknown = this.#discarding ? undefined : deserialize(copy);
        this.began(value);
        return value;
      }
      case TAG_TRANSFER:
        return this.#transfer();
      case TAG_REFERENCE:
        return this.#objects[this.#count()];
      default:
        throw new SunstarError(
          'SUNSTAR_BROKEN_INVARIANT',
          `A message of another shard has an unknown tag ${tag}. Something wrote over the memory of a message.`,
        );
    }
  }

  #transfer(): object {
    const count = this.#count();
    const name = this.value() as string;
    const token = this.value() as number;
    const numbers: number[] = [];
    for (let index = 0; index < count; index++) numbers.push(this.value() as number);
    // Its number comes before those of the objects in what follows.
    const place = this.#objectCount++;
    const extra = this.value();
    const { lender } = this;
    if (lender === undefined)
      throw new SunstarError('SUNSTAR_BROKEN_INVARIANT', 'A value moved without a sender.');
    if (this.#discarding) {
      const taken = this.#taken?.some((other) => other.token === token) ?? false;
      if (!taken) lender.giveBack(token);
      return {};
    }
    const moved = receiveTransfer(name, numbers, token, lender, extra);
    this.#moved ??= [];
    this.#moved.push(moved);
    this.#objects[place] = moved.value;
    return moved.value;
  }

  #plain(): object {
    const count = this.#count();
    const object: Record<string, unknown> = {};
    this.began(object);
    for (let index = 0; index < count; index++) {
      const key = this.#key();
      const value = this.value();
      if (key === '__proto__') {
        Object.defineProperty(object, key, { value, writable: true, enumerable: true, configurable: true });
      } else object[key] = value;
    }
    return object;
  }

  #key(): string {
    const at = this.#at;
    if (this.#bytes[at] !== TAG_STRING8) return this.value() as string;
    const length = this.#bytes[at + 1];
    this.#at = at + 2 + length;
    return this.#keys.text(this.#bytes, at + 2, length);
  }

  #array(): unknown[] {
    const length = this.#count();
    const array: unknown[] = [];
    this.began(array);
    for (let index = 0; index < length; index++) {
      if (this.#bytes[this.#at] === TAG_HOLE) this.#at++;
      else array[index] = this.value();
    }
    // Only holes at the end leave it short.
    if (array.length !== length) array.length = length;
    return array;
  }

  #map(): Map<unknown, unknown> {
    const count = this.#count();
    const map = new Map<unknown, unknown>();
    this.began(map);
    for (let index = 0; index < count; index++) {
      const key = this.value();
      map.set(key, this.value());
    }
    return map;
  }

  #viewOf(): ArrayBuffer | ArrayBufferView {
    const kind = this.#bytes[this.#at++];
    const buffer = new ArrayBuffer(this.#count());
    this.#copyInto(new Uint8Array(buffer));
    const viewClass = VIEW_CONSTRUCTORS[kind];
    const value = viewClass === null ? buffer : new viewClass(buffer);
    this.began(value);
    return value;
  }

  #count(): number {
    this.#at += 4;
    return this.#view.getUint32(this.#at - 4, true);
  }

  #float(): number {
    this.#at += 8;
    return this.#view.getFloat64(this.#at - 8, true);
  }

  #skip(length: number): number {
    const at = this.#at;
    this.#at = at + length;
    return at;
  }

  #copyInto(target: Uint8Array): void {
    const length = target.byteLength;
    const at = this.#skip(length);
    // Node 22 and 24 copy from the wrong place when that is beyond 2^32.
    if (at + length > COPY_LIMIT) target.set(this.#bytes.subarray(at, at + length));
    else if (length > SHORT_COPY) this.#bytes.copy(target, 0, at, at + length);
    else for (let index = 0; index < length; index++) target[index] = this.#bytes[at + index];
  }
}
