import { copyBytes, INTEGER_BYTES_MAX, writeInteger } from '../bytes.js';

/**
 * Where replies go: the tail of a growing byte sequence whose memory is the arena. An IOBuf is one.
 *
 * What `reserve` and the append methods throw when there is no memory (OutOfMemoryError) passes through every
 * method of {@link ReplyWriter}.
 */
export interface ReplySink {
  /** Makes `sizeBytes` contiguous writable bytes behind the content and returns their offset in the arena. */
  reserve(sizeBytes: number): number;
  /** Makes the first `sizeBytes` reserved bytes part of the content. Their reservation ends. */
  commit(sizeBytes: number): void;
  /** Appends a copy of a range of the arena: all of it or, when it throws, nothing. */
  appendRange(offset: number, length: number): void;
  /** Appends a copy of bytes that lie anywhere: all of them or, when it throws, nothing. */
  append(bytes: Uint8Array): void;
  /** Removes bytes from the end. */
  trimBack(sizeBytes: number): void;
}

/** Version of the protocol that a connection speaks: 2 until it says HELLO 3. */
export type ProtocolVersion = 2 | 3;

const CR = 0x0d;
const LF = 0x0a;

// Little-endian words, since one store of four bytes costs as much as one of a single byte.
const OK_WORD = 0x0a_4b_4f_2b; // "+OK" and a byte that is overwritten
const RESP2_NIL_WORD = 0x31_2d_24; // "$-1"
const CRLF_WORD = 0x0a0d;

/** A reply of at most this many bytes is copied into the reserved range; a larger one goes to the sink. */
const COPY_BYTES_MAX = 4096;
/** The longest header: a type byte, a number, CRLF. */
const HEADER_BYTES_MAX = 1 + INTEGER_BYTES_MAX + 2;
/** Up to this length a loop over the characters of a text is faster than the encoder. */
const LOOP_TEXT_MAX = 32;
const FIRST_RESERVE_BYTES = 256;
const RESERVE_BYTES_MAX = 16_384;

/**
 * Writes RESP2 and RESP3 replies into a sink.
 *
 * It reserves a stretch of the sink's tail and fills it with as many replies as fit, so what it has written
 * becomes content only with {@link flush}. Small integers, bulks and statuses are written without a string or
 * an object. One writer serves a whole shard: {@link begin} points it to the connection whose turn it is.
 */
export class ReplyWriter {
  /** Decides between RESP2 and RESP3 forms; set it to the connection's version along with {@link begin}. */
  protocol: ProtocolVersion = 2;

  readonly #bytes: Buffer;
  readonly #view: DataView;
  #sink: ReplySink | null = null;
  /** The reserved range: written from #base to #position, free up to #limit. */
  #base = 0;
  #position = 0;
  #limit = 0;
  /** Bytes that went to the sink since begin. */
  #flushedBytes = 0;
  #reserveBytes = FIRST_RESERVE_BYTES;

  /** @param memory - The arena that the sinks and all ranges lie in. */
  constructor(memory: { readonly bytes: Buffer; readonly arena: { readonly view: DataView } }) {
    this.#bytes = memory.bytes;
    this.#view = memory.arena.view;
  }

  /** The replies that follow go to `sink`. The one before must have been flushed. */
  begin(sink: ReplySink, protocol: ProtocolVersion): void {
    this.#sink = sink;
    this.protocol = protocol;
    this.#base = 0;
    this.#position = 0;
    this.#limit = 0;
    this.#flushedBytes = 0;
    this.#reserveBytes = FIRST_RESERVE_BYTES;
  }

  /** Makes everything written so far content of the sink. */
  flush(): void {
    const written = this.#position - this.#base;
    if (written > 0) {
      this.#target().commit(written);
      this.#flushedBytes += written;
    }
    this.#base = 0;
    this.#position = 0;
    this.#limit = 0;
  }

  /** Bytes written since {@link begin}: a point to {@link rewind} to. */
  mark(): number {
    return this.#flushedBytes + this.#position - this.#base;
  }

  /** Takes back everything written since {@link mark} returned `mark`; works after a write that failed, too. */
  rewind(mark: number): void {
    this.flush();
    if (this.#flushedBytes > mark) this.#target().trimBack(this.#flushedBytes - mark);
    this.#flushedBytes = mark;
  }

  ok(): void {
    const at = this.#require(8);
    this.#view.setInt32(at, OK_WORD, true);
    this.#view.setInt16(at + 3, CRLF_WORD, true);
    this.#position = at + 5;
  }

  /** `nil`: `$-1` in RESP2, `_` in RESP3. */
  nil(): void {
    const at = this.#require(8);
    if (this.protocol === 3) {
      this.#bytes[at] = 0x5f;
      this.#view.setInt16(at + 1, CRLF_WORD, true);
      this.#position = at + 3;
    } else {
      this.#view.setInt32(at, RESP2_NIL_WORD, true);
      this.#view.setInt16(at + 3, CRLF_WORD, true);
      this.#position = at + 5;
    }
  }

  /** An integer, |value| ≤ 2^53 − 1. */
  integer(value: number): void {
    this.#header(0x3a, value);
  }

  /** An integer of any size that a program has as text. */
  integerText(digits: string): void {
    this.#line(0x3a, digits);
  }

  /** An array; `count` elements must follow. */
  array(count: number): void {
    this.#header(0x2a, count);
  }

  /** A map of `count` pairs, which must follow; an array of twice as many elements in RESP2. */
  map(count: number): void {
    if (this.protocol === 3) this.#header(0x25, count);
    else this.#header(0x2a, 2 * count);
  }

  /** A set; an array in RESP2. */
  set(count: number): void {
    this.#header(this.protocol === 3 ? 0x7e : 0x2a, count);
  }

  /** A number with a fraction; a bulk in RESP2. */
  double(value: number): void {
    const text = Number.isFinite(value)
      ? String(value)
      : Number.isNaN(value)
        ? 'nan'
        : value > 0
          ? 'inf'
          : '-inf';
    if (this.protocol === 3) this.#line(0x2c, text);
    else this.bulkText(text);
  }

  /** `+text`. It must not contain CR or LF. */
  simple(text: string): void {
    this.#line(0x2b, text);
  }

  /**
   * `-text`. CR and LF become blanks, so that bytes of a client that are quoted in it cannot end the line.
   *
   * @param text - Begins with the error's code in capitals: "ERR …", "OOM …".
   */
  error(text: string): void {
    this.#line(0x2d, text.replace(/[\r\n]/g, ' '));
  }

  /** A bulk: a range of the arena, binary-safe. */
  bulk(offset: number, length: number): void {
    if (length > COPY_BYTES_MAX) {
      this.bulkHeader(length);
      this.range(offset, length);
      this.bulkEnd();
      return;
    }
    let at = this.#require(HEADER_BYTES_MAX + length + 2);
    at = this.#writeHeader(at, 0x24, length);
    copyBytes(this.#bytes, this.#view, offset, at, length);
    at += length;
    this.#view.setInt16(at, CRLF_WORD, true);
    this.#position = at + 2;
  }

  /** The beginning of a bulk; exactly `length` bytes by {@link range} and {@link bulkEnd} must follow. */
  bulkHeader(length: number): void {
    this.#header(0x24, length);
  }

  /** Bytes of a bulk. */
  range(offset: number, length: number): void {
    if (length <= COPY_BYTES_MAX) {
      const at = this.#require(length);
      copyBytes(this.#bytes, this.#view, offset, at, length);
      this.#position = at + length;
      return;
    }
    this.flush();
    this.#target().appendRange(offset, length);
    this.#flushedBytes += length;
  }

  /** The end of a bulk. */
  bulkEnd(): void {
    const at = this.#require(2);
    this.#view.setInt16(at, CRLF_WORD, true);
    this.#position = at + 2;
  }

  /** A bulk of bytes that do not lie in the arena. */
  bulkBytes(content: Uint8Array): void {
    this.bulkHeader(content.length);
    this.raw(content);
    this.bulkEnd();
  }

  /** A bulk with a text in UTF-8. */
  bulkText(text: string): void {
    const length = utf8Length(text);
    this.bulkHeader(length);
    this.#text(text, length);
    this.bulkEnd();
  }

  /** A text for people, such as INFO's: a verbatim string in RESP3, a bulk in RESP2. */
  verbatim(text: string): void {
    if (this.protocol !== 3) {
      this.bulkText(text);
      return;
    }
    const length = Buffer.byteLength(text);
    this.#header(0x3d, length + 4);
    this.#text('txt:', 4);
    this.#text(text, length);
    this.bulkEnd();
  }

  /** Bytes that are a reply, or a part of one, already. */
  raw(content: Uint8Array): void {
    if (content.length > COPY_BYTES_MAX) {
      this.flush();
      this.#target().append(content);
      this.#flushedBytes += content.length;
      return;
    }
    const at = this.#require(content.length);
    this.#bytes.set(content, at);
    this.#position = at + content.length;
  }

  #header(type: number, value: number): void {
    this.#position = this.#writeHeader(this.#require(HEADER_BYTES_MAX), type, value);
  }

  /** Writes a type byte, a number and CRLF. */
  #writeHeader(position: number, type: number, value: number): number {
    const bytes = this.#bytes;
    if (value >= 0 && value < 100) {
      if (value < 10) {
        this.#view.setInt32(position, type | ((0x30 + value) << 8) | (CRLF_WORD << 16), true);
        return position + 4;
      }
      const tens = (value / 10) | 0;
      bytes[position] = type;
      this.#view.setInt32(
        position + 1,
        (0x30 + tens) | ((0x30 + value - 10 * tens) << 8) | (CRLF_WORD << 16),
        true,
      );
      return position + 5;
    }
    bytes[position] = type;
    const at = writeInteger(bytes, position + 1, value);
    bytes[at] = CR;
    bytes[at + 1] = LF;
    return at + 2;
  }

  #line(type: number, text: string): void {
    const length = utf8Length(text);
    const at = this.#require(1);
    this.#bytes[at] = type;
    this.#position = at + 1;
    this.#text(text, length);
    this.bulkEnd();
  }

  /** @param length - What utf8Length says of the text. */
  #text(text: string, length: number): void {
    if (length > COPY_BYTES_MAX) {
      this.raw(Buffer.from(text, 'utf8'));
      return;
    }
    const at = this.#require(length);
    const bytes = this.#bytes;
    if (length === text.length && length <= LOOP_TEXT_MAX) {
      for (let index = 0; index < length; index++) bytes[at + index] = text.charCodeAt(index);
    } else {
      bytes.write(text, at, length);
    }
    this.#position = at + length;
  }

  /** Room for `sizeBytes` at the returned position. */
  #require(sizeBytes: number): number {
    const position = this.#position;
    return position + sizeBytes <= this.#limit ? position : this.#refill(sizeBytes);
  }

  #refill(sizeBytes: number): number {
    this.flush();
    const size = Math.max(sizeBytes, this.#reserveBytes);
    const offset = this.#target().reserve(size);
    if (this.#reserveBytes < RESERVE_BYTES_MAX) this.#reserveBytes *= 2;
    this.#base = offset;
    this.#position = offset;
    this.#limit = offset + size;
    return offset;
  }

  #target(): ReplySink {
    if (this.#sink === null) throw new TypeError('ReplyWriter.begin() must name a sink first');
    return this.#sink;
  }
}

/** Length of a text in UTF-8; equal to its length in UTF-16 only if it is ASCII. */
function utf8Length(text: string): number {
  if (text.length > LOOP_TEXT_MAX) return Buffer.byteLength(text);
  for (let index = 0; index < text.length; index++) {
    if (text.charCodeAt(index) > 0x7f) return Buffer.byteLength(text);
  }
  return text.length;
}
