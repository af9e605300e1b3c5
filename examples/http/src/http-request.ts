import { COLON, CR, classes, FIELD, LF, SPACE, TAB, TARGET, TOKEN } from './characters.js';

/** The head is not complete. */
export const INCOMPLETE = 0;

/** Fields that a head may have; more is answered with 431. */
export const MAX_FIELDS = 100;

const NO_BODY: Buffer = Buffer.alloc(0);
const DIGITS = /^\d{1,15}$/;

/**
 * The request line and the fields of one request, parsed strictly in one pass: what RFC 9112 lets a server reject is
 * rejected (bare LF, obsolete folding, white space before a colon, both Content-Length and Transfer-Encoding), so that
 * no two parties can see different requests. One object serves all requests of a connection, one after the other: a
 * handler may use it until its response has ended.
 */
export class HttpRequest {
  method = '';
  target = '';
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

  #text = '';
  #fieldCount = 0;
  /** Of each field: start and end of its name, start and end of its value, in #text. */
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

    const text = bytes.toString('latin1', first, at);
    this.#text = text;
    this.#fieldCount = fields;
    this.method = text.slice(0, methodEnd - first);
    this.target = text.slice(targetStart - first, targetEnd - first);
    this.minorVersion = minorVersion;
    const status = this.#understand();
    return status < 0 ? status : at - start;
  }

  /** How many fields there are. */
  get fieldCount(): number {
    return this.#fieldCount;
  }

  /** The name of a field, as it was sent. */
  fieldName(index: number): string {
    return this.#text.slice(this.#places[4 * index], this.#places[4 * index + 1]);
  }

  /** The value of a field, as latin1. */
  fieldValue(index: number): string {
    return this.#text.slice(this.#places[4 * index + 2], this.#places[4 * index + 3]);
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
    if (this.#places[4 * index + 1] - this.#places[4 * index] !== length) return false;
    return this.fieldName(index).toLowerCase() === lowerCaseName;
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
