import { writeFileSync } from 'node:fs';
import { setImmediate as turn } from 'node:timers/promises';
import { expect, it } from 'vitest';
import { heapArena } from '../../src/memory/arena.ts';
import { ShardMemory } from '../../src/memory/shard-memory.ts';

/** SUNSTAR_SOAK_SECONDS=60 makes it short; SUNSTAR_SOAK_DATA=FILE keeps the samples for scripts/plot-availability.mjs. */
const SECONDS = Number(process.env.SUNSTAR_SOAK_SECONDS ?? 600);
const ARENA_BYTES = 256 * 1024 * 1024;
const OCCUPANCY = 0.9;
const LARGEST_BYTES = 128 * 1024;
/** An allocation may fail with less than this share free. */
const EXCUSED_FREE = 0.05;
const SAMPLES = 300;
const SAMPLED_BYTES = [4096, 16_384, 65_536, 131_072];

/** Marsaglia's xorshift: fast, and the same sequence for the same seed. */
function random(seed: number): () => number {
  let state = seed;
  return () => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) / 2 ** 32;
  };
}

/** As many small blocks as large ones on a logarithmic scale, powers of two up to the largest among them. */
function sizeOf(next: () => number): number {
  if (next() < 0.02) return 2 ** Math.floor(next() * 18);
  return Math.floor(Math.exp(next() * Math.log(LARGEST_BYTES))) + 1;
}

it('finds a block of up to 128 KiB at 90 % occupancy as long as 5 % is free', async () => {
  const memory = new ShardMemory(heapArena(ARENA_BYTES), { debug: false });
  const { bytes } = memory;
  const seed = Number(process.env.SUNSTAR_SOAK_SEED ?? (Date.now() % 2 ** 31) | 1);
  const next = random(seed);
  const offsets: number[] = [];
  const lengths: number[] = [];
  const failures: { sizeBytes: number; freeShare: number }[] = [];
  const samples: number[][] = [];
  let used = 0;
  let allocations = 0;
  const startedAt = performance.now();
  for (;;) {
    const elapsed = (performance.now() - startedAt) / 1000;
    if (elapsed >= samples.length * (SECONDS / SAMPLES)) {
      const { freeBytes } = memory.stats();
      samples.push([
        elapsed,
        freeBytes / ARENA_BYTES,
        ...SAMPLED_BYTES.map((size) => memory.availability(size)),
      ]);
      await turn();
    }
    if (elapsed >= SECONDS) break;
    for (let step = 0; step < 1000; step++) {
      const sizeBytes = Math.min(sizeOf(next), LARGEST_BYTES);
      const offset = memory.tryAllocate(sizeBytes);
      allocations++;
      if (offset < 0) {
        const freeShare = memory.stats().freeBytes / ARENA_BYTES;
        if (freeShare >= EXCUSED_FREE) failures.push({ sizeBytes, freeShare });
      } else {
        const usable = memory.usableSize(offset);
        bytes[offset] = sizeBytes;
        bytes[offset + usable - 1] = sizeBytes;
        offsets.push(offset);
        lengths.push(usable);
        used += usable;
      }
      while (used > OCCUPANCY * ARENA_BYTES) {
        const pick = Math.floor(next() * offsets.length);
        const at = offsets[pick];
        if (bytes[at] !== bytes[at + lengths[pick] - 1])
          throw new Error(`the block at ${at} was overwritten`);
        memory.free(at);
        used -= lengths[pick];
        offsets[pick] = offsets[offsets.length - 1];
        lengths[pick] = lengths[lengths.length - 1];
        offsets.pop();
        lengths.pop();
      }
    }
  }
  const result = {
    seed,
    seconds: SECONDS,
    arenaBytes: ARENA_BYTES,
    allocations,
    failures,
    sizes: SAMPLED_BYTES,
    samples,
  };
  const file = process.env.SUNSTAR_SOAK_DATA;
  if (file !== undefined) writeFileSync(file, JSON.stringify(result));
  memory.invariants();
  expect(failures).toEqual([]);
});
