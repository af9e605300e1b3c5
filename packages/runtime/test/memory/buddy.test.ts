import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { BuddyAllocator } from '../../src/memory/buddy.ts';

interface Block {
  readonly page: number;
  readonly order: number;
}

function freeBlocks(buddy: BuddyAllocator): number[] {
  return Array.from({ length: buddy.maxOrder + 1 }, (_, order) => buddy.freeBlocks(order));
}

/** Number of the free block, by a walk over all pages, that a request must come from. */
function fits(buddy: BuddyAllocator, order: number): boolean {
  return freeBlocks(buddy).some((blocks, index) => index >= order && blocks > 0);
}

const pageCounts = fc.oneof(fc.integer({ min: 1, max: 300 }), fc.constantFrom(1, 2, 3, 255, 256, 257));

/** Allocate an order, free the n-th live block, or give up the upper half of the n-th live block. */
const steps = fc.array(
  fc.record({
    kind: fc.constantFrom('allocate', 'allocate', 'free', 'halve'),
    order: fc.integer({ min: 0, max: 6 }),
    pick: fc.nat(),
  }),
  { maxLength: 120 },
);

describe('BuddyAllocator', () => {
  it('keeps blocks disjoint, aligned and in range, and merges eagerly', () => {
    fc.assert(
      fc.property(pageCounts, steps, (pageCount, sequence) => {
        const buddy = new BuddyAllocator(pageCount);
        const initial = freeBlocks(buddy);
        const owner = new Int32Array(pageCount);
        let live: Block[] = [];
        let id = 0;
        const mark = (block: Block, value: number): void => {
          owner.fill(value, block.page, block.page + 2 ** block.order);
        };
        buddy.invariants();
        for (const { kind, order, pick } of sequence) {
          if (kind === 'allocate') {
            const possible = fits(buddy, order);
            const page = buddy.allocate(order);
            expect(page >= 0).toBe(possible);
            if (page < 0) continue;
            const block = { page, order };
            expect(page % 2 ** order).toBe(0);
            expect(page + 2 ** order).toBeLessThanOrEqual(pageCount);
            expect(owner.subarray(page, page + 2 ** order).every((value) => value === 0)).toBe(true);
            mark(block, ++id);
            live.push(block);
          } else if (live.length > 0) {
            const block = live[pick % live.length];
            live = live.filter((other) => other !== block);
            if (kind === 'free') {
              buddy.free(block.page, block.order);
              mark(block, 0);
            } else if (block.order > 0) {
              const half = block.order - 1;
              buddy.free(block.page + 2 ** half, half);
              mark({ page: block.page + 2 ** half, order: half }, 0);
              live.push({ page: block.page, order: half });
            } else {
              live.push(block);
            }
          }
          buddy.invariants();
          expect(buddy.freePages).toBe(owner.filter((value) => value === 0).length);
        }
        for (const block of live) buddy.free(block.page, block.order);
        buddy.invariants();
        expect(freeBlocks(buddy)).toEqual(initial);
      }),
      { numRuns: 300 },
    );
  });

  it('starts with the binary digits of the page count', () => {
    expect(freeBlocks(new BuddyAllocator(0b1011))).toEqual([1, 1, 0, 1]);
    expect(freeBlocks(new BuddyAllocator(256))).toEqual([0, 0, 0, 0, 0, 0, 0, 0, 1]);
  });

  it('can give out every single page', () => {
    const buddy = new BuddyAllocator(77);
    const pages = new Set<number>();
    for (let page = buddy.allocate(0); page >= 0; page = buddy.allocate(0)) pages.add(page);
    expect(pages.size).toBe(77);
    expect(buddy.largestFreeOrder).toBe(-1);
  });

  it('takes the smallest block that is large enough', () => {
    const buddy = new BuddyAllocator(16 + 2);
    expect(buddy.allocate(1)).toBe(16);
    expect(buddy.largestFreeOrder).toBe(4);
  });

  it('has nothing larger than its largest block', () => {
    const buddy = new BuddyAllocator(63);
    expect(buddy.maxOrder).toBe(5);
    for (let order = 6; order < 32; order++) expect(buddy.allocate(order)).toBe(-1);
  });
});
