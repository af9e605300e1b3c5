import { IOBuf } from '@sunstar/iobuf';
import type { ShardMemory } from '@sunstar/runtime';
import type { CacheFile, ReadMemory } from '../../src/index.js';

interface Parked {
  readonly kind: 'read' | 'write';
  readonly position: number;
  readonly length: number;
  finish(error: Error | null): void;
}

/** A file whose reads and writes wait until the test lets them happen, in any order. */
export class ManualFile implements CacheFile {
  readonly path: string;
  readonly parked: Parked[] = [];
  readonly #memory: ShardMemory;
  content: Buffer;
  reads = 0;

  constructor(path: string, memory: ShardMemory, content: Buffer) {
    this.path = path;
    this.#memory = memory;
    this.content = content;
  }

  read(position: number, length: number, { memory }: { memory: ReadMemory }): Promise<IOBuf> {
    this.reads++;
    return new Promise((resolve, reject) => {
      let offset: number;
      try {
        offset = memory.allocateAligned(Math.max(length, 1), 512);
      } catch (error) {
        reject(error instanceof Error ? error : new Error(String(error)));
        return;
      }
      this.#park('read', position, length, (error) => {
        if (error !== null) {
          this.#memory.free(offset);
          reject(error);
          return;
        }
        const bytes = this.content.subarray(position, position + length);
        bytes.copy(this.#memory.bytes, offset);
        const result = new IOBuf(this.#memory);
        if (bytes.length > 0) result.adopt(offset, length, 0, bytes.length);
        else this.#memory.free(offset);
        resolve(result);
      });
    });
  }

  write(position: number, data: IOBuf): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#park('write', position, data.sizeBytes, (error) => {
        if (error !== null) {
          reject(error);
          return;
        }
        data.toBuffer().copy(this.content, position);
        resolve();
      });
    });
  }

  #park(
    kind: 'read' | 'write',
    position: number,
    length: number,
    finish: (error: Error | null) => void,
  ): void {
    const parked: Parked = {
      kind,
      position,
      length,
      finish: (error) => {
        this.parked.splice(this.parked.indexOf(parked), 1);
        finish(error);
      },
    };
    this.parked.push(parked);
  }
}
