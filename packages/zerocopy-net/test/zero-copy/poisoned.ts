import type net from 'node:net';
import { type BlockOwner, IOBuf } from '@sunstar/iobuf';
import type { ShardMemory } from '@sunstar/runtime';

const POISON = 0xdb;

/** Byte number `position` of a stream; never the poison. */
function byteOf(position: number): number {
  return ((position * 31) ^ (position >>> 11)) % 0xdb;
}

/** Blocks of shard memory that are overwritten the moment that the last buffer lets go of them. */
export class PoisonedBlocks implements BlockOwner {
  readonly #memory: ShardMemory;
  readonly #sizes = new Map<number, number>();
  released = 0;

  constructor(memory: ShardMemory) {
    this.#memory = memory;
  }

  /** Blocks that somebody still holds. */
  get held(): number {
    return this.#sizes.size;
  }

  /** A buffer of one block with the stream's bytes from `position` on. */
  make(position: number, sizeBytes: number): IOBuf {
    const offset = this.#memory.allocate(sizeBytes);
    this.#sizes.set(offset, sizeBytes);
    const { bytes } = this.#memory;
    for (let i = 0; i < sizeBytes; i++) bytes[offset + i] = byteOf(position + i);
    return new IOBuf(this.#memory).adopt(offset, sizeBytes, 0, sizeBytes, this);
  }

  release(offset: number): void {
    const sizeBytes = this.#sizes.get(offset);
    if (sizeBytes === undefined) throw new Error('a block was released twice');
    this.#sizes.delete(offset);
    this.released++;
    this.#memory.bytes.fill(POISON, offset, offset + sizeBytes);
    this.#memory.free(offset);
  }
}

/** What a peer made of a stream. */
export interface Verdict {
  readonly receivedBytes: number;
  readonly badBytes: number;
}

/** Reads until the end, and counts the bytes that are not what was written. */
export function verify(socket: net.Socket): Promise<Verdict> {
  return new Promise((resolve) => {
    let receivedBytes = 0;
    let badBytes = 0;
    const done = (): void => resolve({ receivedBytes, badBytes });
    socket.on('data', (data: Buffer) => {
      for (let i = 0; i < data.length; i++) if (data[i] !== byteOf(receivedBytes + i)) badBytes++;
      receivedBytes += data.length;
    });
    socket.on('end', done);
    socket.on('error', done);
    socket.resume();
  });
}
