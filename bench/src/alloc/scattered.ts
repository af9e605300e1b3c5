import { type Arena, createArena, type HugePages } from '@sunstar/runtime';
import type { BenchmarkCase } from '../harness/benchmark.js';
import { nanosecondsPerOperation } from '../harness/timing.js';

const ARENA_BYTES = 512 * 1024 * 1024;
const PAGE_BYTES = 4096;
const READS = 16_384;
/** Words of an arena less one: a mask, because the number is a power of two. */
const WORD_MASK = ARENA_BYTES / 4 - 1;

/** An arena all of whose pages are there. */
function touchedArena(hugePages: HugePages): Arena {
  const arena = createArena(ARENA_BYTES, { hugePages });
  for (let at = 0; at < ARENA_BYTES; at += PAGE_BYTES) arena.bytes[at] = 0;
  return arena;
}

let place = 1;

/** Reads words all over an arena, each where the last one says: as in a hash table that is much larger than the caches. */
function readScattered({ int32 }: Arena): void {
  let state = place;
  for (let read = 0; read < READS; read++) {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    state += int32[state & WORD_MASK];
  }
  place = state;
}

/** What it costs to find a word in a large arena, with huge pages and without. */
export function scatteredCase(): BenchmarkCase {
  let huge: Arena | undefined;
  let small: Arena | undefined;
  const measure = (arena: Arena | undefined): Promise<number> => {
    if (arena === undefined) throw new Error('the case was not set up');
    return Promise.resolve(nanosecondsPerOperation(READS, () => readScattered(arena)));
  };
  return {
    metrics: [{ case: 'read of a word anywhere in 512 MiB', unit: 'ns/read', higherIsBetter: false }],
    setup: () => {
      huge = touchedArena('auto');
      small = touchedArena('never');
      return Promise.resolve();
    },
    ours: () => measure(huge),
    peers: [{ peer: "hugePages: 'never'", measure: () => measure(small) }],
    teardown: () => {
      huge = undefined;
      small = undefined;
      return Promise.resolve();
    },
  };
}
