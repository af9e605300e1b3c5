import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { memoryOf } from './memory-property.ts';

const MIB = 1024 * 1024;

/** Each a size class of its own, so that a block has exactly what was asked for. */
const SIZES = [64, 4096, 131_072] as const;

const step = fc.record({
  kind: fc.constantFrom('allocate', 'allocate', 'free', 'free', 'again', 'group', 'look', 'shrink'),
  size: fc.constantFrom(...SIZES),
  pick: fc.nat(),
});

describe('the block that is allocated and freed in turns', () => {
  // Most calls settle the spare block before they look, so this test looks seldom.
  it('is live when it was given out last, and free when it was freed last', () => {
    fc.assert(
      fc.property(fc.array(step, { minLength: 40, maxLength: 100 }), (steps) => {
        const memory = memoryOf(4 * MIB);
        const group = memory.group('others');
        const live: { offset: number; size: number; inGroup: boolean }[] = [];
        const given = (offset: number, size: number, inGroup: boolean): void => {
          const isTaken = live.some(
            (other) => offset < other.offset + other.size && other.offset < offset + size,
          );
          expect(isTaken).toBe(false);
          live.push({ offset, size, inGroup });
        };
        let freed = -1;
        for (const { kind, size, pick } of steps) {
          if (kind === 'allocate') given(memory.allocate(size), size, false);
          else if (kind === 'group') given(group.allocate(size), size, true);
          else if (kind === 'look') memory.stats();
          else if (kind === 'again') {
            if (freed < 0 || live.some(({ offset }) => offset === freed)) continue;
            expect(() => memory.free(freed)).toThrowError(
              expect.objectContaining({ code: 'SUNSTAR_INVALID_FREE' }),
            );
          } else if (live.length > 0) {
            // The block of the last allocation half of the time.
            const at = pick % 2 === 0 ? live.length - 1 : (pick >> 1) % live.length;
            const block = live[at];
            if (kind === 'shrink') {
              memory.shrink(block.offset, Math.min(block.size, 4096));
              block.size = Math.min(block.size, 4096);
            } else {
              live.splice(at, 1);
              (block.inGroup ? group : memory).free(block.offset);
              freed = block.offset;
            }
          }
        }
        expect(memory.stats().liveBlocks).toBe(live.length);
        expect(memory.stats().usedBytes).toBe(live.reduce((sum, block) => sum + block.size, 0));
        memory.invariants();
        for (const { offset } of live) memory.free(offset);
        memory.trimCaches();
        memory.invariants();
        expect(memory.stats()).toMatchObject({ freeBytes: 4 * MIB, liveBlocks: 0 });
      }),
      { numRuns: 150 },
    );
  });

  it('is what an allocation finds when nothing else is left', () => {
    const memory = memoryOf(MIB);
    memory.free(memory.allocate(4096));
    memory.free(memory.allocate(4096));
    // One page is spare now: the whole arena can be had nevertheless.
    memory.free(memory.allocate(MIB));
    memory.free(memory.allocate(4096));
    expect(memory.availability(MIB)).toBeLessThan(1);
    memory.trimCaches();
    expect(memory.availability(MIB)).toBe(1);
  });

  it('is seen by a profile that starts', () => {
    const memory = memoryOf(MIB);
    for (let round = 0; round < 3; round++) memory.free(memory.allocate(64));
    memory.startHeapProfile(1);
    const offset = memory.allocate(64);
    expect(memory.profileSites()).toHaveLength(1);
    memory.free(offset);
    memory.stopHeapProfile();
    expect(memory.stats().liveBlocks).toBe(0);
  });
});
