import { CR, classes, FIELD, LF } from './characters.js';

/** Where a body is; the last six only when it is chunked. */
const Step = {
  Length: 0,
  Done: 1,
  Size: 2,
  Extension: 3,
  SizeEnd: 4,
  Data: 5,
  DataEnd: 6,
  Trailer: 7,
} as const;

/** Bytes of a size line with its extensions, or of all trailers. */
const MAX_LINE_BYTES = 4096;
const SEMICOLON = 59;
const MAX_SIZE_DIGITS = 12;
const FIRST_BUFFER_BYTES = 1024;

/** Gathers the body of one request, of known length or chunked, up to a limit. Memory is taken for what has come. */
export class BodyReader {
  readonly #maxBytes: number;
  #buffer: Buffer = Buffer.alloc(0);
  #sizeBytes = 0;
  #step: number;
  /** Bytes left of the body, or of the chunk. */
  #left: number;
  /** Bytes of the present line, or of the trailers. */
  #lineBytes = 0;
  #digits = 0;
  #afterCr = false;
  #isLineEmpty = true;

  /** @param contentLength - −1 for a chunked body, else at least 1. */
  constructor(contentLength: number, maxBytes: number) {
    this.#maxBytes = maxBytes;
    this.#step = contentLength < 0 ? Step.Size : Step.Length;
    this.#left = Math.max(0, contentLength);
  }

  /** Whether the body is complete. */
  get isDone(): boolean {
    return this.#step === Step.Done;
  }

  /** What has come of the body. */
  get body(): Buffer {
    return this.#buffer.subarray(0, this.#sizeBytes);
  }

  /** Takes from a range what belongs to the body: how many bytes, or the negative status of the answer. */
  read(bytes: Buffer, start: number, end: number): number {
    if (this.#step === Step.Length && this.#left > this.#maxBytes) return -413;
    let at = start;
    while (at < end && this.#step !== Step.Done) {
      if (this.#step === Step.Length || this.#step === Step.Data) {
        at = this.#take(bytes, at, end);
      } else {
        const status = this.#control(bytes[at++]);
        if (status < 0) return status;
      }
    }
    return at - start;
  }

  #take(bytes: Buffer, at: number, end: number): number {
    const length = Math.min(this.#left, end - at);
    this.#reserve(length);
    bytes.copy(this.#buffer, this.#sizeBytes, at, at + length);
    this.#sizeBytes += length;
    this.#left -= length;
    if (this.#left === 0) this.#step = this.#step === Step.Length ? Step.Done : Step.DataEnd;
    return at + length;
  }

  #reserve(length: number): void {
    const needed = this.#sizeBytes + length;
    if (needed <= this.#buffer.length) return;
    const larger = Buffer.allocUnsafe(Math.max(needed, 2 * this.#buffer.length, FIRST_BUFFER_BYTES));
    this.#buffer.copy(larger, 0, 0, this.#sizeBytes);
    this.#buffer = larger;
  }

  /** One byte that is not data; 0, or a negative status. */
  #control(byte: number): number {
    if (++this.#lineBytes > MAX_LINE_BYTES) return -400;
    switch (this.#step) {
      case Step.Size:
        return this.#size(byte);
      case Step.Extension:
        // Says nothing that is understood here.
        if (byte === CR) this.#step = Step.SizeEnd;
        else if ((classes[byte] & FIELD) === 0) return -400;
        return 0;
      case Step.SizeEnd:
        if (byte !== LF) return -400;
        this.#lineBytes = 0;
        this.#digits = 0;
        this.#step = this.#left === 0 ? Step.Trailer : Step.Data;
        return this.#sizeBytes + this.#left > this.#maxBytes ? -413 : 0;
      case Step.DataEnd:
        if (byte !== (this.#afterCr ? LF : CR)) return -400;
        this.#afterCr = !this.#afterCr;
        if (!this.#afterCr) this.#step = Step.Size;
        return 0;
      default:
        return this.#trailer(byte);
    }
  }

  #size(byte: number): number {
    const digit = hexDigit(byte);
    if (digit >= 0) {
      this.#left = this.#left * 16 + digit;
      return ++this.#digits > MAX_SIZE_DIGITS ? -413 : 0;
    }
    if (this.#digits === 0 || (byte !== CR && byte !== SEMICOLON)) return -400;
    this.#step = byte === CR ? Step.SizeEnd : Step.Extension;
    return 0;
  }

  /** Trailers are read and dropped; an empty line ends them. */
  #trailer(byte: number): number {
    if (this.#afterCr) {
      if (byte !== LF) return -400;
      this.#afterCr = false;
      if (this.#isLineEmpty) this.#step = Step.Done;
      this.#isLineEmpty = true;
    } else if (byte === CR) {
      this.#afterCr = true;
    } else {
      if ((classes[byte] & FIELD) === 0) return -400;
      this.#isLineEmpty = false;
    }
    return 0;
  }
}

function hexDigit(byte: number): number {
  if (byte >= 48 && byte <= 57) return byte - 48;
  const letter = byte | 32;
  return letter >= 97 && letter <= 102 ? letter - 87 : -1;
}
