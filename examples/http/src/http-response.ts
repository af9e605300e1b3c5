import { Buffer } from 'node:buffer';
import { STATUS_CODES } from 'node:http';
import { IOBuf } from '@sunstar/iobuf';
import { SunstarError } from '@sunstar/runtime';
import type { Connection } from '@sunstar/zerocopy-net';
import { dateField } from './date-field.js';
import { HeadCache } from './head-cache.js';

/** Bytes that are sent as a body. An IOBuf is moved out of: its content leaves without a copy by us. */
export type BodyPart = string | Uint8Array | IOBuf;

/** The fields of a response. Names and values are checked for characters that would end the line. */
export type Fields = Readonly<Record<string, string | number>>;

const lastHead = new HeadCache();

const FORBIDDEN = /[^\t\x20-\x7e\x80-\xff]/;

/** Writes the response to one request. One object serves all requests of a connection, one after the other. */
export class HttpResponse {
  readonly #connection: Connection;
  readonly #bytes: Buffer;
  #isHead = false;
  #minorVersion = 1;
  #keepAlive = true;
  #isHeadSent = false;
  #isEnded = true;
  /** Bytes of the body that are still to come; −1 when the body ends with the connection or is chunked. */
  #bodyLeft = 0;
  #isChunked = false;

  /** @param bytes - The memory of the shard. */
  constructor(connection: Connection, bytes: Buffer) {
    this.#connection = connection;
    this.#bytes = bytes;
  }

  /** Whether the response is complete. */
  get isEnded(): boolean {
    return this.#isEnded;
  }

  /** Whether the status and the fields were written. */
  get isHeadSent(): boolean {
    return this.#isHeadSent;
  }

  /** Whether the connection serves another request after this one; false closes it. */
  get keepAlive(): boolean {
    return this.#keepAlive;
  }

  set keepAlive(value: boolean) {
    this.#keepAlive = value && this.#keepAlive;
  }

  /** @internal Begins the response to a request. */
  begin(isHead: boolean, minorVersion: number, keepAlive: boolean): void {
    this.#isHead = isHead;
    this.#minorVersion = minorVersion;
    this.#keepAlive = keepAlive;
    this.#isHeadSent = false;
    this.#isEnded = false;
  }

  /** A whole response. The length is that of the body; a HEAD request gets everything but the body. */
  send(status: number, fields: Fields, body: BodyPart = ''): void {
    const length = lengthOf(body);
    this.#writeHead(status, fields, length);
    this.#isEnded = true;
    if (length > 0 && !this.#isHead) this.#append(body);
    else if (body instanceof IOBuf) body.clear();
  }

  /**
   * The status and the fields of a response whose body follows with {@link write}.
   *
   * @param lengthBytes - Of the body; without it the body is chunked, or for HTTP/1.0 ends with the connection.
   */
  start(status: number, fields: Fields, lengthBytes?: number): void {
    this.#writeHead(status, fields, lengthBytes);
    this.#bodyLeft = lengthBytes ?? -1;
    if (lengthBytes === 0) this.#isEnded = true;
  }

  /** More of the body. Resolves when the peer has taken enough of it for more to be written. */
  write(part: BodyPart): Promise<void> {
    if (!this.#isHeadSent || this.#isEnded)
      throw misuse('write() needs a response that was started and not ended');
    const length = lengthOf(part);
    if (this.#bodyLeft >= 0) {
      if (length > this.#bodyLeft)
        throw misuse(`the body is ${length - this.#bodyLeft} bytes longer than was said`);
      this.#bodyLeft -= length;
    }
    if (this.#isHead || length === 0) {
      if (part instanceof IOBuf) part.clear();
      return Promise.resolve();
    }
    if (!this.#isChunked) return this.#connection.write(part);
    const { output } = this.#connection;
    output.append(`${length.toString(16)}\r\n`);
    this.#append(part);
    return this.#connection.write('\r\n');
  }

  /** The body is complete. */
  end(): void {
    if (!this.#isHeadSent || this.#isEnded)
      throw misuse('end() needs a response that was started and not ended');
    if (this.#bodyLeft > 0 && !this.#isHead) throw misuse(`${this.#bodyLeft} bytes of the body are missing`);
    if (this.#isChunked && !this.#isHead) this.#connection.output.append('0\r\n\r\n');
    this.#isEnded = true;
    this.#connection.flush();
  }

  #append(part: BodyPart): void {
    const { output } = this.#connection;
    if (part instanceof IOBuf) output.take(part);
    else output.append(part);
  }

  #writeHead(status: number, fields: Fields, lengthBytes: number | undefined): void {
    if (this.#isHeadSent) throw misuse('the head of the response was sent already');
    this.#isChunked = lengthBytes === undefined && this.#minorVersion >= 1;
    if (lengthBytes === undefined && !this.#isChunked) this.#keepAlive = false;
    const date = dateField();
    const variant = (this.#keepAlive ? 1 : 0) | (this.#minorVersion << 1);
    const { output } = this.#connection;
    if (lastHead.matches(status, fields, variant, lengthBytes, date)) {
      output.append(lastHead.bytes);
    } else {
      const head = this.#makeHead(status, fields, lengthBytes, date);
      this.#bytes.write(head, output.reserve(head.length), head.length, 'latin1');
      output.commit(head.length);
      lastHead.keep(status, fields, variant, lengthBytes, date, head);
    }
    this.#isHeadSent = true;
  }

  #makeHead(status: number, fields: Fields, lengthBytes: number | undefined, date: string): string {
    let head = `HTTP/1.1 ${status} ${STATUS_CODES[status] ?? 'Unknown'}\r\n${date}`;
    for (const name in fields) {
      const value = String(fields[name]);
      if (FORBIDDEN.test(name) || FORBIDDEN.test(value))
        throw misuse(`the field ${name} has a forbidden character`);
      head += `${name}: ${value}\r\n`;
    }
    if (this.#isChunked) head += 'Transfer-Encoding: chunked\r\n';
    // These two have no body, and so no length of it.
    else if (lengthBytes !== undefined && status !== 304 && status !== 204)
      head += `Content-Length: ${lengthBytes}\r\n`;
    if (!this.#keepAlive) head += 'Connection: close\r\n';
    else if (this.#minorVersion === 0) head += 'Connection: keep-alive\r\n';
    return `${head}\r\n`;
  }
}

function lengthOf(part: BodyPart): number {
  if (typeof part === 'string') return Buffer.byteLength(part);
  return part instanceof IOBuf ? part.sizeBytes : part.length;
}

function misuse(what: string): SunstarError {
  return new SunstarError('SUNSTAR_HTTP_MISUSE', `The response was used wrongly: ${what}.`);
}
