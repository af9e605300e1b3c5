import { SunstarError } from '@sunstar/runtime';

const CR = 0x0d;
const ERROR = 0x2d;
const NUL = 0x5f;
const BULK = 0x24;
const VERBATIM = 0x3d;
const ARRAY = 0x2a;

/**
 * Reads the replies of this project's own ReplyWriter: what shards answer each other. It is not meant for bytes
 * from elsewhere.
 */
export class ReplyReader {
  readonly #bytes: Uint8Array;
  #position = 0;

  /** @param bytes - One complete reply. */
  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
  }

  /** The text of an error reply, or null when the reply is no error. Reads nothing. */
  errorText(): string | null {
    if (this.#bytes[this.#position] !== ERROR) return null;
    const end = this.#bytes.indexOf(CR, this.#position);
    return Buffer.from(this.#bytes.subarray(this.#position + 1, end)).toString('utf8');
  }

  /** The number that follows the type byte: an integer, or how long what follows is. */
  number(): number {
    const start = this.#position + 1;
    const end = this.#bytes.indexOf(CR, start);
    const value = Number(Buffer.from(this.#bytes.subarray(start, end)).toString('latin1'));
    if (end < 0 || !Number.isFinite(value)) {
      throw new SunstarError(
        'SUNSTAR_INVARIANT',
        'A shard answered with bytes that are no reply. Please report this.',
      );
    }
    this.#position = end + 2;
    return value;
  }

  /** Whether a nil comes next, in either protocol. */
  isNil(): boolean {
    const type = this.#bytes[this.#position];
    return type === NUL || (type === BULK && this.#bytes[this.#position + 1] === ERROR);
  }

  /** The content of a bulk or of a verbatim string; a view. */
  bulk(): Uint8Array {
    const prefix = this.#bytes[this.#position] === VERBATIM ? 4 : 0;
    const length = this.number();
    const content = this.#bytes.subarray(this.#position + prefix, this.#position + length);
    this.#position += length + 2;
    return content;
  }

  /** The bytes of the next element, which is no array, as they are; a view. */
  element(): Uint8Array {
    const start = this.#position;
    const type = this.#bytes[start];
    if (type === ARRAY) throw new SunstarError('SUNSTAR_INVARIANT', 'An array is no element.');
    if (type === BULK && !this.isNil()) this.bulk();
    else this.#position = this.#bytes.indexOf(CR, start) + 2;
    return this.#bytes.subarray(start, this.#position);
  }

  /** Everything that has not been read; a view. */
  rest(): Uint8Array {
    return this.#bytes.subarray(this.#position);
  }
}
