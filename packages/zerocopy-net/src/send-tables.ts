import type { IOBuf } from '@sunstar/iobuf';
import type { ShardMemory } from '@sunstar/runtime';

/** Bytes of `struct msghdr` on 64-bit Linux, padded to a multiple of 16. */
const HEADER_BYTES = 64;
/** Bytes of one `struct iovec`. */
const IOVEC_BYTES = 16;
/** Header and vector together fill one 2 KiB block. */
const TABLE_BYTES = 2048;
/** Idle tables that are kept for the next send; more are freed. */
const KEPT_TABLES = 64;
const TWO_POW_32 = 4294967296;

/** The most fragments of one send; what is beyond leaves with the next one. */
export const MAX_FRAGMENTS_PER_SEND: number = (TABLE_BYTES - HEADER_BYTES) / IOVEC_BYTES;

/**
 * Message headers and scatter lists for `sendmsg`, in shard memory. The kernel copies both when it
 * takes the submission, but a table is held until its send completes all the same: then it is right
 * on every kernel.
 */
export class SendTables {
  readonly #memory: ShardMemory;
  readonly #idle: number[] = [];
  #inUse = 0;

  constructor(memory: ShardMemory) {
    this.#memory = memory;
  }

  /** Tables that sends in flight hold. */
  get inUse(): number {
    return this.#inUse;
  }

  /**
   * Writes a message of the first fragments of `content`.
   *
   * @param maxCount - How many of them at most.
   * @returns Arena offset of the message header, to {@link release} when the send completed; −1 when
   * the shard has no memory for it.
   */
  tryFill(content: IOBuf, maxCount: number = MAX_FRAGMENTS_PER_SEND): number {
    const table = this.#idle.pop() ?? this.#memory.tryAllocate(TABLE_BYTES);
    if (table < 0) return -1;
    const { view, address } = this.#memory.arena;
    const vector = table + HEADER_BYTES;
    let count: number;
    try {
      count = content.writeIovecs(vector, Math.min(maxCount, MAX_FRAGMENTS_PER_SEND));
    } catch (error) {
      this.#idle.push(table);
      throw error;
    }
    this.#inUse++;
    const vectorAddress = address + vector;
    for (let at = 0; at < HEADER_BYTES; at += 8) view.setFloat64(table + at, 0, true);
    // msg_iov and msg_iovlen; no name, no control data. setUint32 keeps the low 32 bits.
    view.setUint32(table + 16, vectorAddress, true);
    view.setUint32(table + 20, vectorAddress / TWO_POW_32, true);
    view.setUint32(table + 24, count, true);
    return table;
  }

  /** Takes a table back. */
  release(table: number): void {
    this.#inUse--;
    if (this.#idle.length < KEPT_TABLES) this.#idle.push(table);
    else this.#memory.free(table);
  }

  /** Frees the idle tables. */
  trim(): void {
    for (const table of this.#idle) this.#memory.free(table);
    this.#idle.length = 0;
  }
}
