import type { IOBuf } from '@sunstar/iobuf';
import { heapArena, ShardMemory } from '@sunstar/runtime';
import { ObjectCache, type ObjectCacheOptions } from '../../src/index.js';
import { ManualFile } from './manual-file.js';

export const KIB = 1024;
export const PLACES = 8;
export const SLOT = 8192;

export interface SetUp {
  readonly memory: ShardMemory;
  readonly cache: ObjectCache;
  readonly files: readonly ManualFile[];
}

export function setUp(options: ObjectCacheOptions = {}): SetUp {
  const memory = new ShardMemory(heapArena(4 << 20), { debug: false, lowWaterBytes: 0 });
  const cache = new ObjectCache({ memory, limit: 64 * KIB, ...options });
  const files = ['a', 'b'].map(
    (name, seed) =>
      new ManualFile(
        name,
        memory,
        Buffer.from(Uint8Array.from({ length: PLACES * SLOT - 3000 }, (_, i) => i * 31 + seed * 7)),
      ),
  );
  return { memory, cache, files };
}

export function bytesOf(content: IOBuf): Buffer {
  const bytes = content.toBuffer();
  content[Symbol.dispose]();
  return bytes;
}

export async function codeOf(promise: Promise<unknown>): Promise<string> {
  try {
    await promise;
    return 'no error';
  } catch (error) {
    return (error as { code?: string }).code ?? String(error);
  }
}
