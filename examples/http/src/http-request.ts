import { COLON, CR, classes, FIELD, LF, SPACE, TAB, TARGET, TOKEN } from './characters.js';

/** The head is not complete. */
export const INCOMPLETE = 0;

/** Fields that a head may have; more is answered with 431. */
export const MAX_FIELDS = 100;

const NO_BODY: Buffer = Buffer.alloc(0);
/** The bit that makes a letter a small one. */
const LOWER_CASE = 0x20;
const DIGITS = /^\d{1,15}$/;

/**
 * The request line and the fields of one request, parsed strictly in one pass: what RFC 9112 lets a server reject is
 * rejected (bare LF, obsolete folding, white space before a colon, both Content-Length and Transfer-Encoding), so that
 * no two parties can see different requests. One object serves all requests of a connection, one after the other: a
 * handler may use it until its response has ended.
 *
 * Strings are made of what is asked for only: most handlers want to know the target and little else.
 */
export class HttpRequest {
  method = '';
  /** 0 or 1, of HTTP/1.x. */
  minorVersion = 1;
  /** Bytes of the body; 0 when there is none, −1 when it is chunked. */
  contentLength = 0;
  /** Whether the peer means to send another request on this connection. */
  keepAlive = true;
  /** Whether the peer waits for "100 Continue" before it sends the body. */
  expectsContinue = false;
  /** The body, complete; empty when there is none. */
  body: Buffer = NO_BODY;

  /** Where the head lies, and from where: valid until the input is gone, see {@link keep}. */
  #bytes: Buffer = NO_BODY;
  #first = 0;
  #lengthBytes = 0;
  /** The head, once it is kept. */
  #text: string | null = null;
  #target: string | null = null;
  #targetStart = 0;
  #targetEnd = 0;
  #fieldCount = 0;
  /** Of each field: start and end of its name, start and end of its value, from the head's first byte. */
  readonly #places = new Int32Array(4 * MAX_FIELDS);

  /**
   * Parses a head that begins at `start`.
   *
   * @returns How many bytes it has; {@link INCOMPLETE} when its end is not in the range; the negative status of the
   * answer when it is wrong.
   */
  parse(bytes: Buffer, start: number, end: number): number {
    let at = start;
    // An empty line before a request is skipped, as clients of old send one after a body.
    while (at < end && (bytes[at] === CR || bytes[at] === LF)) at++;
    const first = at;
    while (at < end && (classes[bytes[at]] & TOKEN) !== 0) at++;
    const methodEnd = at;
    if (at === end) return INCOMPLETE;
    if (bytes[at++] !== SPACE || methodEnd === first) return -400;
    const targetStart = at;
    while (at < end && (classes[bytes[at]] & TARGET) !== 0) at++;
    const targetEnd = at;
    if (at === end) return INCOMPLETE;
    if (bytes[at++] !== SPACE || targetEnd === targetStart) return -400;
    // HTTP/1.x CR LF
    if (at + 10 > end) return INCOMPLETE;
    if (!isVersion1(bytes, at)) return bytes[at] === 72 ? -505 : -400;
    const minorVersion = bytes[at + 7] - 48;
    if (bytes[at + 8] !== CR || bytes[at + 9] !== LF) return -400;
    at += 10;

    const places = this.#places;
    let fields = 0;
    for (;;) {
      if (at + 1 >= end) return INCOMPLETE;
      if (bytes[at] === CR) {
        if (bytes[at + 1] !== LF) return -400;
        break;
      }
      if (fields === MAX_FIELDS) return -431;
      const nameStart = at;
      while (at < end && (classes[bytes[at]] & TOKEN) !== 0) at++;
      const nameEnd = at;
      if (at === end) return INCOMPLETE;
      if (bytes[at++] !== COLON || nameEnd === nameStart) return -400;
      while (at < end && (bytes[at] === SPACE || bytes[at] === TAB)) at++;
      const valueStart = at;
      while (at < end && (classes[bytes[at]] & FIELD) !== 0) at++;
      if (at + 1 >= end) return INCOMPLETE;
      let valueEnd = at;
      while (valueEnd > valueStart && (bytes[valueEnd - 1] === SPACE || bytes[valueEnd - 1] === TAB))
        valueEnd--;
      if (bytes[at] !== CR || bytes[at + 1] !== LF) return -400;
      at += 2;
      const place = fields++ << 2;
      places[place] = nameStart - first;
      places[place + 1] = nameEnd - first;
      places[place + 2] = valueStart - first;
      places[place + 3] = valueEnd - first;
    }
    at += 2;

    this.#bytes = bytes;
    this.#first = first;
    this.#lengthBytes = at - first;
    this.#text = null;
    this.#target = null;
    this.#targetStart = targetStart - first;
    this.#targetEnd = targetEnd - first;
    this.#fieldCount = fields;
    this.method = methodOf(bytes, first, methodEnd);
    this.minorVersion = minorVersion;
    const status = this.#understand();
    return status < 0 ? status : at - start;
  }

  /** @internal Copies what was parsed: the input goes, and the request is still needed. */
  keep(): void {
    if (this.#text !== null) return;
    this.#text = this.#bytes.toString('latin1', this.#first, this.#first + this.#lengthBytes);
    this.#bytes = NO_BODY;
  }

  /** The request target, as it was sent. */
  get target(): string {
    this.#target ??= this.#slice(this.#targetStart, this.#targetEnd);
    return this.#target;
  }

  /** How many fields there are. */
  get fieldCount(): number {
    return this.#fieldCount;
  }

  /** The name of a field, as it was sent. */
  fieldName(index: number): string {
    return this.#slice(this.#places[4 * index], this.#places[4 * index + 1]);
  }

  /** The value of a field, as latin1. */
  fieldValue(index: number): string {
    return this.#slice(this.#places[4 * index + 2], this.#places[4 * index + 3]);
  }

  #slice(start: number, end: number): string {
    if (this.#text !== null) return this.#text.slice(start, end);
    return this.#bytes.toString('latin1', this.#first + start, this.#first + end);
  }

  /**
   * The value of the field with this name, several with a comma between them; undefined when there is none.
   *
   * @param lowerCaseName - In lower case.
   */
  field(lowerCaseName: string): string | undefined {
    let value: string | undefined;
    for (let index = 0; index < this.#fieldCount; index++) {
      if (!this.#isNamed(index, lowerCaseName)) continue;
      value = value === undefined ? this.fieldValue(index) : `${value}, ${this.fieldValue(index)}`;
    }
    return value;
  }

  #isNamed(index: number, lowerCaseName: string): boolean {
    const { length } = lowerCaseName;
    const start = this.#places[4 * index];
    if (this.#places[4 * index + 1] - start !== length) return false;
    if (this.#text !== null) return this.fieldName(index).toLowerCase() === lowerCaseName;
    const bytes = this.#bytes;
    const at = this.#first + start;
    for (let i = 0; i < length; i++) {
      const byte = bytes[at + i];
      const isLetter = (byte >= 65 && byte <= 90) || (byte >= 97 && byte <= 122);
      if ((isLetter ? byte | LOWER_CASE : byte) !== lowerCaseName.charCodeAt(i)) return false;
    }
    return true;
  }

  /** What the fields say of the connection and the body: 0, or a negative status. */
  #understand(): number {
    this.contentLength = 0;
    this.expectsContinue = false;
    this.keepAlive = this.minorVersion >= 1;
    let hasLength = false;
    let isChunked = false;
    let hosts = 0;
    for (let index = 0; index < this.#fieldCount; index++) {
      // The few that matter have these lengths.
      switch (this.#places[4 * index + 1] - this.#places[4 * index]) {
        case 4:
          if (this.#isNamed(index, 'host')) hosts++;
          break;
        case 6:
          if (this.#isNamed(index, 'expect')) {
            if (this.fieldValue(index).toLowerCase() !== '100-continue') return -417;
            this.expectsContinue = this.minorVersion >= 1;
          }
          break;
        case 10:
          if (this.#isNamed(index, 'connection')) this.#connection(this.fieldValue(index).toLowerCase());
          break;
        case 14:
          if (this.#isNamed(index, 'content-length')) {
            const value = this.fieldValue(index);
            if (!DIGITS.test(value) || (hasLength && Number(value) !== this.contentLength)) return -400;
            hasLength = true;
            this.contentLength = Number(value);
          }
          break;
        case 17:
          if (this.#isNamed(index, 'transfer-encoding')) {
            if (isChunked || this.minorVersion === 0) return -400;
            if (this.fieldValue(index).toLowerCase() !== 'chunked') return -501;
            isChunked = true;
          }
          break;
      }
    }
    if (isChunked && hasLength) return -400;
    if (isChunked) this.contentLength = -1;
    return hosts > 1 || (hosts === 0 && this.minorVersion >= 1) ? -400 : 0;
  }

  #connection(value: string): void {
    for (const option of value.split(',')) {
      const trimmed = option.trim();
      if (trimmed === 'close') this.keepAlive = false;
      else if (trimmed === 'keep-alive' && this.minorVersion === 0) this.keepAlive = true;
    }
  }
}

/** The method: the common one is no new string. */
function methodOf(bytes: Buffer, start: number, end: number): string {
  const isGet =
    end - start === 3 && bytes[start] === 71 && bytes[start + 1] === 69 && bytes[start + 2] === 84;
  return isGet ? 'GET' : bytes.toString('latin1', start, end);
}

/** Whether `HTTP/1.0` or `HTTP/1.1` begins here. */
function isVersion1(bytes: Uint8Array, at: number): boolean {
  return (
    bytes[at] === 72 &&
    bytes[at + 1] === 84 &&
    bytes[at + 2] === 84 &&
    bytes[at + 3] === 80 &&
    bytes[at + 4] === 47 &&
    bytes[at + 5] === 49 &&
    bytes[at + 6] === 46 &&
    (bytes[at + 7] === 48 || bytes[at + 7] === 49)
  );
}
