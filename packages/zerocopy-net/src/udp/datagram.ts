import type { ShardMemory } from '@sunstar/runtime';

const AF_INET = 2;
/** Bytes of the largest address of IP. */
export const NAME_BYTES = 28;
const V4_NAME_BYTES = 16;

/**
 * A received datagram: a range of the shard's memory and its sender, both valid only during the call of
 * {@link UdpReceiver.onDatagram}. One object serves all datagrams.
 */
export class Datagram {
  /** Where the bytes begin in `memory.bytes`. */
  offset = 0;
  /** How many they are. */
  length = 0;
  /** Where the kernel wrote the sender's `sockaddr`. */
  nameOffset = 0;
  readonly #memory: ShardMemory;

  constructor(memory: ShardMemory) {
    this.#memory = memory;
  }

  /** The bytes, as a view that is valid as long as they are. */
  get bytes(): Buffer {
    return this.#memory.bytes.subarray(this.offset, this.offset + this.length);
  }

  /** Bytes of the sender's `sockaddr`. */
  get nameBytes(): number {
    return this.#isV4 ? V4_NAME_BYTES : NAME_BYTES;
  }

  /** The sender's port. */
  get port(): number {
    return this.#memory.arena.view.getUint16(this.nameOffset + 2);
  }

  /** The sender's address in words; made anew each time. */
  get address(): string {
    const { bytes, arena } = this.#memory;
    if (this.#isV4) return bytes.subarray(this.nameOffset + 4, this.nameOffset + 8).join('.');
    const groups: string[] = [];
    for (let at = 8; at < 24; at += 2) {
      groups.push(arena.view.getUint16(this.nameOffset + at).toString(16));
    }
    return new URL(`http://[${groups.join(':')}]`).hostname.slice(1, -1);
  }

  get #isV4(): boolean {
    return this.#memory.arena.view.getUint16(this.nameOffset, true) === AF_INET;
  }
}
