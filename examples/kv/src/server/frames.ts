import type { IOBuf } from '@sunstar/iobuf';
import type { ProtocolVersion } from '../resp/index.js';

/**
 * What shards send each other:
 *
 * ```
 * request = ( u8:protocol u32:length command )*      one command in RESP each
 * answer  = ( u32:length reply )*                    the replies to them, in order
 * ```
 */
export const REQUEST_HEADER_BYTES = 5;
export const ANSWER_HEADER_BYTES = 4;

/** Appends the header of a command of `length` bytes, which must follow. */
export function appendRequestHeader(
  target: IOBuf,
  view: DataView,
  protocol: ProtocolVersion,
  length: number,
): void {
  const at = target.reserve(REQUEST_HEADER_BYTES);
  view.setUint8(at, protocol);
  view.setUint32(at + 1, length, true);
  target.commit(REQUEST_HEADER_BYTES);
}

/** Cuts an answer into its replies. */
export class AnswerReader {
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  #position = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  }

  /** The next reply; a view of the answer. */
  next(): Uint8Array {
    const start = this.#position + ANSWER_HEADER_BYTES;
    const end = start + this.#view.getUint32(this.#position, true);
    this.#position = end;
    return this.#bytes.subarray(start, end);
  }
}
