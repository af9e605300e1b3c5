import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { PageAllocator } from '../../src/memory/page-allocator.ts';
import { FIRST_POOL_CLASS, SizeClasses } from '../../src/memory/size-classes.ts';
import { SpanPools } from '../../src/memory/span-pools.ts';

const PAGES = 512;
const classes = new SizeClasses(PAGES * 4096);
const LAST_POOL_CLASS = classes.firstRun - 1;

function fresh(): { pages: PageAllocator; pools: SpanPools; classOfPage: Uint8Array } {
  const pages = new PageAllocator(PAGES);
  const classOfPage = new Uint8Array(PAGES);
  return { pages, pools: new SpanPools(classes, pages, classOfPage), classOfPage };
}

function takeOrGrow(pools: SpanPools, sizeClass: number): number {
  const granule = pools.take(sizeClass);
  return granule >= 0 || !pools.grow(sizeClass) ? granule : pools.take(sizeClass);
}

const step = fc.record({
  take: fc.boolean(),
  sizeClass: fc.oneof(
    fc.integer({ min: FIRST_POOL_CLASS, max: LAST_POOL_CLASS }),
    fc.constantFrom(FIRST_POOL_CLASS, FIRST_POOL_CLASS + 8, LAST_POOL_CLASS),
  ),
  times: fc.integer({ min: 1, max: 60 }),
  pick: fc.nat(),
});

describe('SpanPools', () => {
  it('hands out disjoint objects and returns empty spans at once', () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 40 }), (steps) => {
        const { pages, pools } = fresh();
        const owner = new Uint8Array(PAGES * 512);
        const live: { granule: number; sizeClass: number }[] = [];
        const give = (index: number): void => {
          const [{ granule, sizeClass }] = live.splice(index, 1);
          expect(pools.isFree(sizeClass, granule)).toBe(false);
          owner.fill(0, granule, granule + classes.granules[sizeClass]);
          pools.give(sizeClass, granule);
        };
        for (const { take, sizeClass, times, pick } of steps) {
          for (let time = 0; time < times; time++) {
            if (take) {
              const granule = takeOrGrow(pools, sizeClass);
              if (granule < 0) break;
              const cells = owner.subarray(granule, granule + classes.granules[sizeClass]);
              expect(cells.length).toBe(classes.granules[sizeClass]);
              expect(cells.includes(1)).toBe(false);
              cells.fill(1);
              live.push({ granule, sizeClass });
            } else if (live.length > 0) {
              give((pick + time) % live.length);
            }
          }
          pools.invariants();
          pages.invariants();
        }
        while (live.length > 0) give(0);
        pools.invariants();
        expect(pages.freePages).toBe(PAGES);
        expect(pages.largestFreeOrder).toBe(9);
      }),
      { numRuns: 60 },
    );
  });

  it('fills a span completely, in every class', () => {
    for (let sizeClass = FIRST_POOL_CLASS; sizeClass <= LAST_POOL_CLASS; sizeClass++) {
      const { pools } = fresh();
      expect(pools.take(sizeClass)).toBe(-1);
      expect(pools.grow(sizeClass)).toBe(true);
      const granules = new Set<number>();
      for (let granule = pools.take(sizeClass); granule >= 0; granule = pools.take(sizeClass))
        granules.add(granule);
      expect(granules.size).toBe(classes.spanObjects[sizeClass]);
      expect(pools.spans(sizeClass)).toBe(1);
      for (const granule of granules) pools.give(sizeClass, granule);
      expect(pools.spans(sizeClass)).toBe(0);
      pools.invariants();
    }
  });

  it('names the class of every page of a span, and forgets it afterwards', () => {
    const { pools, classOfPage } = fresh();
    const sizeClass = classes.of(40_000);
    const granule = takeOrGrow(pools, sizeClass);
    expect(classOfPage.filter((owner) => owner === sizeClass).length).toBe(classes.spanPages[sizeClass]);
    pools.give(sizeClass, granule);
    expect(classOfPage.every((owner) => owner === 0)).toBe(true);
  });

  it('gets no span when the pages are used up', () => {
    const { pages, pools } = fresh();
    pages.allocateBlock(9);
    expect(pools.grow(FIRST_POOL_CLASS)).toBe(false);
    pools.invariants();
  });
});
