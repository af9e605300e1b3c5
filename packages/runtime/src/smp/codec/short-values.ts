import * as layout from '../layout.js';
import * as message from '../message.js';
import * as tags from './tags.js';
import { shortText } from './text.js';

// Imported names are looked up at each use, constants of the module are not.
const { SLOT_BYTES } = layout;
const { PAYLOAD_BYTES_AT, SHORT } = message;
const { TAG_FALSE, TAG_FLOAT64, TAG_INT32, TAG_NULL, TAG_STRING8, TAG_TRUE, TAG_UNDEFINED } = tags;

/*
 * Most messages between shards hold a few numbers and short strings. Those are written straight into the slot of the
 * ring and read straight out of it, without what other values need: no block of memory, no references, nothing that
 * moves, nothing that can fail or run code of the user. The wire form is that of tags.ts, so whoever reads a message
 * in general reads these too; the flag SHORT says that there is nothing else in it.
 */

/** Writes messages of numbers, short strings, booleans, null and undefined into slots of a ring. */
export class ShortWriter {
  /** Those of all slots. */
  readonly words: Int32Array;
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  #at = 0;
  #end = 0;

  /** @param slots - The control block, through an alias that is not shared. */
  constructor(slots: Int32Array) {
    this.words = slots;
    this.#bytes = new Uint8Array(slots.buffer, slots.byteOffset, slots.byteLength);
    this.#view = new DataView(slots.buffer, slots.byteOffset, slots.byteLength);
  }

  /** Starts a message in a slot. */
  begin(slot: number): void {
    this.#at = slot * 4 + PAYLOAD_BYTES_AT;
    this.#end = slot * 4 + SLOT_BYTES;
  }

  /** Goes on in a message, at a byte where a value may begin. */
  resume(slot: number, at: number): void {
    this.#at = at;
    this.#end = slot * 4 + SLOT_BYTES;
  }

  /** The byte where the next value goes. */
  get at(): number {
    return this.#at;
  }

  /** @returns False when the value is of another kind, or too long: then the message has to be written in general. */
  write(value: unknown): boolean {
    const at = this.#at;
    if (typeof value === 'number') {
      if ((value | 0) === value && !Object.is(value, -0)) {
        if (at + 5 > this.#end) return false;
        this.#bytes[at] = TAG_INT32;
        this.#view.setInt32(at + 1, value, true);
        this.#at = at + 5;
        return true;
      }
      if (at + 9 > this.#end) return false;
      this.#bytes[at] = TAG_FLOAT64;
      this.#view.setFloat64(at + 1, value, true);
      this.#at = at + 9;
      return true;
    }
    if (typeof value === 'string') return this.#string(value);
    let tag = TAG_UNDEFINED;
    if (value !== undefined) {
      if (value === true) tag = TAG_TRUE;
      else if (value === false) tag = TAG_FALSE;
      else if (value === null) tag = TAG_NULL;
      else return false;
    }
    if (at >= this.#end) return false;
    this.#bytes[at] = tag;
    this.#at = at + 1;
    return true;
  }

  /** Writes the header. */
  end(slot: number, kind: number, count: number, callId: number, target: number): void {
    const { words } = this;
    words[slot] = kind | SHORT | (count << 16);
    words[slot + 1] = callId;
    words[slot + 2] = target;
  }

  #string(text: string): boolean {
    const { length } = text;
    let at = this.#at + 2;
    if (at + length > this.#end) return false;
    const bytes = this.#bytes;
    let seen = 0;
    for (let index = 0; index < length; index++) {
      const code = text.charCodeAt(index);
      seen |= code;
      bytes[at++] = code;
    }
    if (seen > 0xff) return false;
    bytes[this.#at] = TAG_STRING8;
    bytes[this.#at + 1] = length;
    this.#at = at;
    return true;
  }
}

/** Reads what {@link ShortWriter} wrote. Never fails, and makes no object. */
export class ShortReader {
  readonly #bytes: Buffer;
  readonly #view: DataView;
  #at = 0;
  #begun = 0;

  constructor(bytes: Buffer, view: DataView) {
    this.#bytes = bytes;
    this.#view = view;
  }

  /** Starts with the message in a slot. */
  begin(slot: number): void {
    this.#begun = (this.#begun + 1) | 0;
    this.#at = slot * 4 + PAYLOAD_BYTES_AT;
  }

  /** Changes whenever a message is started with. */
  get begun(): number {
    return this.#begun;
  }

  /** Starts with the message in a slot, behind so many values. */
  beginAfter(slot: number, values: number): void {
    this.begin(slot);
    for (let left = values; left > 0; left--) this.value();
  }

  /** Reads the next value. */
  value(): unknown {
    const at = this.#at;
    switch (this.#bytes[at]) {
      case TAG_INT32:
        this.#at = at + 5;
        return this.#view.getInt32(at + 1, true);
      case TAG_FLOAT64:
        this.#at = at + 9;
        return this.#view.getFloat64(at + 1, true);
      case TAG_STRING8: {
        const length = this.#bytes[at + 1];
        this.#at = at + 2 + length;
        return shortText(this.#bytes, at + 2, length);
      }
      case TAG_TRUE:
        this.#at = at + 1;
        return true;
      case TAG_FALSE:
        this.#at = at + 1;
        return false;
      case TAG_NULL:
        this.#at = at + 1;
        return null;
      default:
        this.#at = at + 1;
        return undefined;
    }
  }
}
