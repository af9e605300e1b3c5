import { createArena, ShardMemory } from '@sunstar/runtime';
import { describe, expect, it } from 'vitest';

const PAIRS = 1000;
const CALLS = 21;

/**
 * The bytes by which a call lets the heap grow: the lower quartile, because now and then the collector runs in between,
 * and the compiler allocates, too.
 */
function growthBytes(body: () => void): number {
  const growth: number[] = [];
  for (let call = 0; call < CALLS; call++) {
    const before = process.memoryUsage().heapUsed;
    body();
    growth.push(process.memoryUsage().heapUsed - before);
  }
  return growth.sort((a, b) => a - b)[CALLS >> 2];
}

describe.each([64, 4096, 16_384, 131_072])('a block of %i bytes', (sizeBytes) => {
  it.each(['memory', 'group'])('costs no object: not from the %s, one by one or many', (from) => {
    const memory = new ShardMemory(createArena(32 * 1024 * 1024), { debug: false });
    const source = from === 'memory' ? memory : memory.group('group');
    const many = new Int32Array(16);
    const body = (): void => {
      for (let i = 0; i < PAIRS; i++) source.free(source.allocate(sizeBytes));
      for (let i = 0; i < PAIRS / many.length; i++) {
        for (let k = 0; k < many.length; k++) many[k] = source.allocate(sizeBytes);
        for (let k = 0; k < many.length; k++) source.free(many[k]);
      }
    };
    // Only compiled code keeps numbers out of objects.
    for (let i = 0; i < 100; i++) body();
    const own = growthBytes(() => undefined);
    expect((growthBytes(body) - own) / (2 * PAIRS)).toBeLessThan(1);
  });
});
