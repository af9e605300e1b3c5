import { IOBuf } from '@sunstar/iobuf';
import { callIn, currentGroupId, type SunstarError } from '@sunstar/runtime';
import { connectionClosed, delimiterTooFar, readInProgress, unexpectedEnd } from './errors.js';
import type { Network } from './network.js';
import { type Transport, TransportState } from './transport.js';

/** The longest line or delimited message by default. */
const DEFAULT_MAX_MESSAGE_BYTES = 65536;
const LF = 10;
const CR = 13;
const LINE_END: Uint8Array = Uint8Array.of(LF);

/**
 * The input of a connection as promises. Received bytes gather in a buffer of at most `readAheadBytes`
 * (more while one read needs more); beyond it the connection stops to receive until they are read.
 */
export class Reader {
  readonly #transport: Transport;
  readonly #network: Network;
  #input: IOBuf;
  #isEnded = false;
  #isClosed = false;
  #isReading = false;
  /** How many bytes the read that waits needs. */
  #wantedBytes = 0;
  #wake: (() => void) | null = null;
  /** The scheduling group that reads. */
  #groupId = 0;

  constructor(transport: Transport, network: Network) {
    this.#transport = transport;
    this.#network = network;
    this.#input = new IOBuf(network.memory);
    this.#isEnded = transport.receiveSide.endDelivered;
    this.#isClosed = transport.state === TransportState.Closed;
  }

  // ---- from the transport

  onData(): void {
    this.#transport.receiveSide.takeInto(this.#input);
    if (this.#input.sizeBytes >= Math.max(this.#transport.limits.readAheadBytes, this.#wantedBytes)) {
      this.#transport.receiveSide.pause();
    }
    this.#notify();
  }

  onEnd(): void {
    this.#isEnded = true;
    this.#notify();
  }

  onClose(): void {
    this.#isClosed = true;
    this.#notify();
  }

  /** Gives all that was not read to somebody else; the reader is at an end. */
  takeAll(): IOBuf {
    if (this.#isReading) throw readInProgress();
    return this.#takeFront(this.#input.sizeBytes);
  }

  /** Frees what was not read; a read that waits ends. */
  dispose(): void {
    this.#input.clear();
    this.#isClosed = true;
    this.#notify();
  }

  // ---- to the application

  async read(): Promise<IOBuf | null> {
    this.#begin();
    try {
      while (this.#input.sizeBytes === 0) {
        if (!(await this.#more(1))) return null;
      }
      return this.#takeFront(this.#input.sizeBytes);
    } finally {
      this.#isReading = false;
    }
  }

  async readExactly(sizeBytes: number): Promise<IOBuf> {
    this.#begin();
    try {
      while (this.#input.sizeBytes < sizeBytes) {
        if (!(await this.#more(sizeBytes))) {
          throw unexpectedEnd(`${sizeBytes} bytes had arrived`, this.#input.sizeBytes);
        }
      }
      return this.#takeFront(sizeBytes);
    } finally {
      this.#isReading = false;
    }
  }

  async readUntil(
    delimiter: Uint8Array,
    maxBytes: number = DEFAULT_MAX_MESSAGE_BYTES,
  ): Promise<IOBuf | null> {
    this.#begin();
    try {
      const end = await this.#find(delimiter, maxBytes);
      if (end >= 0) return this.#takeFront(end);
      if (this.#input.sizeBytes === 0) return null;
      throw unexpectedEnd('the delimiter had arrived', this.#input.sizeBytes);
    } finally {
      this.#isReading = false;
    }
  }

  async *lines(maxLineBytes: number = DEFAULT_MAX_MESSAGE_BYTES): AsyncGenerator<string, void, undefined> {
    this.#begin();
    try {
      for (;;) {
        let end = await this.#find(LINE_END, maxLineBytes + 2);
        if (end < 0) {
          end = this.#input.sizeBytes;
          if (end === 0) return;
        }
        const line = this.#takeFront(end);
        let text: string;
        try {
          text = decodeLine(line, maxLineBytes);
        } finally {
          line[Symbol.dispose]();
        }
        yield text;
      }
    } finally {
      this.#isReading = false;
    }
  }

  /** The position behind the first delimiter, or −1 when input ended before one. */
  async #find(delimiter: Uint8Array, maxBytes: number): Promise<number> {
    let searched = 0;
    for (;;) {
      const input = this.#input;
      const at = input.indexOf(delimiter, searched);
      if (at >= 0) {
        if (at + delimiter.length > maxBytes) throw delimiterTooFar(maxBytes);
        return at + delimiter.length;
      }
      if (input.sizeBytes >= maxBytes) throw delimiterTooFar(maxBytes);
      searched = Math.max(0, input.sizeBytes - delimiter.length + 1);
      if (!(await this.#more(input.sizeBytes + 1))) return -1;
    }
  }

  #begin(): void {
    if (this.#isReading) throw readInProgress();
    this.#isReading = true;
    this.#transport.receiveSide.start();
  }

  /** Waits until something happened; false when there is no more input. */
  async #more(wantedBytes: number): Promise<boolean> {
    if (this.#isEnded) return false;
    if (this.#isClosed) throw this.#closedError();
    this.#wantedBytes = wantedBytes;
    this.#transport.receiveSide.resume();
    await new Promise<void>((resolve) => {
      this.#wake = resolve;
      this.#groupId = currentGroupId();
    });
    this.#wantedBytes = 0;
    return true;
  }

  #notify(): void {
    const wake = this.#wake;
    if (wake === null) return;
    this.#wake = null;
    callIn(this.#groupId, wake);
  }

  #takeFront(sizeBytes: number): IOBuf {
    const input = this.#input;
    let taken: IOBuf;
    if (sizeBytes === input.sizeBytes) {
      taken = input;
      this.#input = new IOBuf(this.#network.memory);
    } else {
      taken = input.share(0, sizeBytes);
      input.trimFront(sizeBytes);
    }
    if (this.#input.sizeBytes <= this.#transport.limits.readAheadBytes / 2)
      this.#transport.receiveSide.resume();
    return taken;
  }

  #closedError(): SunstarError {
    return this.#transport.error ?? connectionClosed();
  }
}

/** The text of a line without its end. */
function decodeLine(line: IOBuf, maxLineBytes: number): string {
  let length = line.sizeBytes;
  if (line.byteAt(length - 1) === LF) {
    length--;
    if (length > 0 && line.byteAt(length - 1) === CR) length--;
  }
  if (length > maxLineBytes) throw delimiterTooFar(maxLineBytes);
  return line.toString('utf8', 0, length);
}
