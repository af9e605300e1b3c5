import type { IOBuf } from '@sunstar/iobuf';
import type { ProtocolVersion } from '../resp/index.js';

/**
 * What shards send each other:
 *
 * ```
 * request = ( u8:protocol u32:length command )*      one command in RESP each
 * answer  = u32:ticket ( u32:length reply )*         the replies to them, in order
 * ```
 *
 * With a ticket other than 0 the answer goes on: the next piece is asked for with it. So one message stays of moderate
 * size, however large the replies are together.
 */
export const REQUEST_HEADER_BYTES = 5;
/** When the replies are larger than this, the rest is another piece. */
const ANSWER_PIECE_BYTES = 4 * 1024 * 1024;

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

/** The replies of an answer that are still to be sent. */
export class Answer {
  readonly #replies: readonly Uint8Array[];
  #next = 0;

  constructor(replies: readonly Uint8Array[]) {
    this.#replies = replies;
  }

  /** Whether one piece holds all that is left. */
  get isLastPiece(): boolean {
    return this.#endOfPiece(this.#next) === this.#replies.length;
  }

  /** Bytes of the pieces that are left. */
  get leftBytes(): number {
    let bytes = 0;
    for (let next = this.#next; next < this.#replies.length; ) {
      const end = this.#endOfPiece(next);
      bytes += pieceBytes(this.#replies.slice(next, end));
      next = end;
    }
    return bytes;
  }

  /** The next piece. */
  take(ticket: number): Uint8Array {
    const end = this.#endOfPiece(this.#next);
    const replies = this.#replies.slice(this.#next, end);
    this.#next = end;
    const piece = Buffer.allocUnsafe(pieceBytes(replies));
    let at = piece.writeUInt32LE(ticket, 0);
    for (const reply of replies) {
      at = piece.writeUInt32LE(reply.length, at);
      piece.set(reply, at);
      at += reply.length;
    }
    return piece;
  }

  #endOfPiece(start: number): number {
    let end = start;
    let sizeBytes = 0;
    while (end < this.#replies.length && sizeBytes < ANSWER_PIECE_BYTES)
      sizeBytes += this.#replies[end++].length;
    return end;
  }
}

function pieceBytes(replies: readonly Uint8Array[]): number {
  return replies.reduce((sum, reply) => sum + 4 + reply.length, 4);
}

/** Cuts a piece of an answer into its replies. */
export class AnswerReader {
  /** 0 when this is the last piece. */
  readonly ticket: number;
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  #position = 4;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
    this.ticket = this.#view.getUint32(0, true);
  }

  /** The next reply, a view of the answer; undefined when there is none. */
  next(): Uint8Array | undefined {
    if (this.#position >= this.#bytes.length) return undefined;
    const start = this.#position + 4;
    const end = start + this.#view.getUint32(this.#position, true);
    this.#position = end;
    return this.#bytes.subarray(start, end);
  }
}
