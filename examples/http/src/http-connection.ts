import type { Connection, Receiver } from '@sunstar/zerocopy-net';
import { BodyReader } from './body-reader.js';
import { HttpRequest, INCOMPLETE } from './http-request.js';
import { HttpResponse } from './http-response.js';
import type { HttpHandler, HttpLimits } from './options.js';

const NO_BODY: Buffer = Buffer.alloc(0);
/** Output of one look at the input beyond which it is asked whether the peer takes it. */
const CHECKED_OUTPUT_BYTES = 65_536;

/**
 * One connection: parses requests where they lie, hands them to the handler one after the other, and takes no more
 * input than it needs while a handler is at work.
 */
export class HttpConnection implements Receiver {
  readonly #connection: Connection;
  readonly #bytes: Buffer;
  readonly #limits: HttpLimits;
  readonly #handler: HttpHandler;
  readonly #request = new HttpRequest();
  readonly #response: HttpResponse;
  readonly #onClosed: (connection: HttpConnection) => void;
  /** Input that is not a whole head yet, or that came while a handler was at work. */
  #pending: Buffer = NO_BODY;
  #body: BodyReader | null = null;
  #isBusy = false;
  /** The peer asks faster than it takes the answers: nothing is served until some of them are out. */
  #isFull = false;
  #hasInputEnded = false;
  /** The last response was sent. */
  #isEnding = false;
  /** When the present request began, or the last one ended. */
  #sinceMs: number;
  #isWaiting = true;

  constructor(
    connection: Connection,
    bytes: Buffer,
    handler: HttpHandler,
    limits: HttpLimits,
    onClosed: (connection: HttpConnection) => void,
  ) {
    this.#connection = connection;
    this.#bytes = bytes;
    this.#handler = handler;
    this.#limits = limits;
    this.#sinceMs = limits.nowMs();
    this.#onClosed = onClosed;
    this.#response = new HttpResponse(connection, bytes);
    connection.receiver = this;
  }

  // ---- from the connection

  onData(_connection: Connection, offset: number, length: number): void {
    if (this.#isEnding) return;
    if (this.#isBusy || this.#isFull || this.#pending.length > 0) {
      this.#keep(this.#bytes, offset, offset + length);
      if (!this.#isBusy && !this.#isFull) this.#work(this.#pending, 0, this.#pending.length);
    } else {
      this.#work(this.#bytes, offset, offset + length);
    }
  }

  onEnd(): void {
    this.#hasInputEnded = true;
    if (!this.#isBusy && !this.#isFull) this.#end();
  }

  onDrain(): void {
    if (!this.#isFull) return;
    this.#isFull = false;
    this.#goOn();
  }

  onClose(): void {
    this.#onClosed(this);
  }

  /** Looks at the clock: closes what idles too long, answers what takes too long with 408. */
  sweep(nowMs: number): void {
    if (this.#isBusy || this.#isEnding) return;
    const isIdle = this.#isFull || (this.#isWaiting && this.#pending.length === 0);
    const elapsedMs = nowMs - this.#sinceMs;
    if (isIdle) {
      if (elapsedMs >= this.#limits.keepAliveTimeoutMs) void this.#connection.close();
    } else if (this.#isWaiting) {
      // The first time that a piece of a request is seen.
      this.#isWaiting = false;
      this.#sinceMs = nowMs;
    } else if (elapsedMs >= this.#limits.requestTimeoutMs) {
      this.#refuse(408);
    }
  }

  // ---- requests

  /** Serves what a range holds; what is left waits in #pending. */
  #work(bytes: Buffer, start: number, end: number): void {
    let at = start;
    while (at < end && !this.#isBusy && !this.#isEnding && !this.#isFull) {
      const taken = this.#body === null ? this.#takeHead(bytes, at, end) : this.#takeBody(bytes, at, end);
      if (taken < 0) {
        this.#refuse(-taken);
        break;
      }
      if (taken === INCOMPLETE) break;
      at += taken;
      if (this.#connection.pendingOutputBytes > CHECKED_OUTPUT_BYTES) this.#checkOutput();
    }
    if (this.#isEnding) this.#pending = NO_BODY;
    else if (bytes === this.#pending) this.#pending = at === end ? NO_BODY : bytes.subarray(at, end);
    else if (at < end) this.#keep(bytes, at, end);
    this.#connection.flush();
  }

  #checkOutput(): void {
    this.#connection.flush();
    if (!this.#connection.isAboveHighWater || this.#isBusy) return;
    this.#isFull = true;
    this.#connection.pauseReading();
  }

  #takeHead(bytes: Buffer, start: number, end: number): number {
    const request = this.#request;
    const taken = request.parse(bytes, start, end);
    if (taken === INCOMPLETE) return end - start > this.#limits.maxHeadBytes ? -431 : INCOMPLETE;
    if (taken < 0) return taken;
    if (taken > this.#limits.maxHeadBytes) return -431;
    if (request.contentLength === 0) {
      this.#serve(NO_BODY);
      return taken;
    }
    if (request.contentLength > this.#limits.maxBodyBytes) return -413;
    // The body may come later, when the head's bytes have gone.
    request.keep();
    if (request.expectsContinue) this.#connection.output.append('HTTP/1.1 100 Continue\r\n\r\n');
    this.#isWaiting = false;
    this.#body = new BodyReader(request.contentLength, this.#limits.maxBodyBytes);
    return taken;
  }

  #takeBody(bytes: Buffer, start: number, end: number): number {
    const reader = this.#body as BodyReader;
    const taken = reader.read(bytes, start, end);
    if (taken >= 0 && reader.isDone) {
      this.#body = null;
      this.#serve(reader.body);
    }
    return taken;
  }

  #serve(body: Buffer): void {
    const request = this.#request;
    const response = this.#response;
    request.body = body;
    response.begin(request.method === 'HEAD', request.minorVersion, request.keepAlive);
    this.#isBusy = true;
    try {
      const served = this.#handler(request, response);
      if (served !== undefined) {
        this.#await(served);
        return;
      }
    } catch (error) {
      this.#failed(error);
      return;
    }
    this.#served();
  }

  /** The handler goes on later: input waits with the peer. */
  #await(served: Promise<void>): void {
    this.#request.keep();
    this.#connection.pauseReading();
    served.then(
      () => {
        this.#served();
        this.#goOn();
      },
      (error: unknown) => {
        this.#failed(error);
        this.#goOn();
      },
    );
  }

  #goOn(): void {
    this.#connection.flush();
    if (!this.#isEnding && this.#pending.length > 0) this.#work(this.#pending, 0, this.#pending.length);
    if (this.#isBusy || this.#isEnding || this.#isFull) return;
    if (this.#hasInputEnded) this.#end();
    else this.#connection.resumeReading();
  }

  #served(): void {
    const response = this.#response;
    if (!response.isEnded) {
      this.#failed(new Error('the handler returned before its response had ended'));
      return;
    }
    this.#isBusy = false;
    this.#isWaiting = true;
    this.#sinceMs = this.#limits.nowMs();
    if (!response.keepAlive) this.#end();
  }

  #failed(error: unknown): void {
    this.#isBusy = false;
    if (!this.#connection.isWritable) return;
    this.#limits.onError(error);
    // Half a response cannot be taken back: the peer must see that it is not whole.
    if (this.#response.isHeadSent) {
      this.#isEnding = true;
      this.#connection.reset();
    } else {
      this.#refuse(500);
    }
  }

  /** Answers what went wrong and closes: where the next request begins is not known. */
  #refuse(status: number): void {
    const response = this.#response;
    response.begin(false, 1, false);
    response.send(status, { 'Content-Type': 'text/plain' }, `${status}\n`);
    this.#end();
  }

  #end(): void {
    this.#isEnding = true;
    this.#pending = NO_BODY;
    this.#connection.flush();
    void this.#connection.close();
  }

  #keep(bytes: Buffer, start: number, end: number): void {
    const kept = Buffer.allocUnsafe(this.#pending.length + end - start);
    this.#pending.copy(kept);
    bytes.copy(kept, this.#pending.length, start, end);
    this.#pending = kept;
  }
}
