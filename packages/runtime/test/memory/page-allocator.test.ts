import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { FOR_BLOCKS, FOR_SPANS, PageAllocator } from '../../src/memory/page-allocator.ts';

const step = fc.record({
  kind: fc.constantFrom(
    'block',
    'run',
    'run',
    'span',
    'anywhere',
    'sparing',
    'extend',
    'free',
    'free',
    'free',
  ),
  pages: fc.integer({ min: 1, max: 32 }),
  order: fc.integer({ min: 0, max: 8 }),
  times: fc.integer({ min: 1, max: 20 }),
  pick: fc.nat(),
});

interface Piece {
  page: number;
  pages: number;
  order: number;
}

/** Pages that lie in an aligned place where a run of this length is free. */
function usableByHand(taken: Uint8Array, pages: number, alignment: number): number {
  const usable = new Uint8Array(taken.length);
  for (let start = 0; start + pages <= taken.length; start += alignment) {
    const sameChunk = start >> 5 === (start + pages - 1) >> 5;
    if (sameChunk && !taken.subarray(start, start + pages).includes(1)) usable.fill(1, start, start + pages);
  }
  // A chunk that is free as a whole is one free block.
  for (let chunk = 0; chunk + 32 <= taken.length; chunk += 32) {
    if (!taken.subarray(chunk, chunk + 32).includes(1)) usable.fill(1, chunk, chunk + 32);
  }
  return usable.filter((mark) => mark === 1).length;
}

/** Pages of all free stretches that hold an aligned run of this length. */
function usableStretches(taken: Uint8Array, pages: number, alignment: number): number {
  let usable = 0;
  for (let start = 0; start < taken.length; ) {
    let end = start;
    while (end < taken.length && taken[end] === 0) end++;
    if (end - Math.ceil(start / alignment) * alignment >= pages) usable += end - start;
    start = end + 1;
  }
  return usable;
}

describe('PageAllocator', () => {
  it('hands out disjoint, aligned pages, and knows what is free', () => {
    fc.assert(
      fc.property(
        fc.constantFrom(32, 100, 256, 300, 511),
        fc.array(step, { maxLength: 60 }),
        (count, steps) => {
          const pages = new PageAllocator(count);
          const taken = new Uint8Array(count);
          const live: Piece[] = [];
          const take = (page: number, length: number, alignment: number, order: number): void => {
            if (page < 0) return;
            expect(page % alignment).toBe(0);
            expect(page + length).toBeLessThanOrEqual(count);
            expect(taken.subarray(page, page + length).includes(1)).toBe(false);
            taken.fill(1, page, page + length);
            live.push({ page, pages: length, order });
          };
          for (const { kind, pages: wanted, order, times, pick } of steps) {
            const alignment = Math.min(order, 5, Math.log2(wanted & -wanted));
            for (let time = 0; time < times; time++) {
              if (kind === 'block') {
                const usable = pages.usablePages(2 ** order, order);
                const page = pages.allocateBlock(order);
                expect(page >= 0).toBe(usable > 0);
                take(page, 2 ** order, 2 ** order, order);
              } else if (kind === 'run' || kind === 'span') {
                const length = Math.min(wanted, 31);
                const fits = usableByHand(taken, length, 2 ** alignment);
                expect(pages.usablePages(length, alignment)).toBe(fits);
                const use = kind === 'run' ? FOR_BLOCKS : FOR_SPANS;
                const page = pages.allocateRun(length, alignment, use);
                expect(page >= 0).toBe(fits > 0);
                take(page, length, 2 ** alignment, -1);
              } else if (kind === 'anywhere') {
                expect(pages.usableAnywhere(wanted, alignment)).toBe(
                  usableStretches(taken, wanted, 2 ** alignment),
                );
                // Chunks that are free as a whole are the quick way's to take.
                if (pages.buddy.freePages > 0) continue;
                const usable = pages.usableAnywhere(wanted, alignment);
                const page = pages.allocateAnywhere(wanted, alignment);
                expect(page >= 0).toBe(usable > 0);
                take(page, wanted, 2 ** alignment, -1);
              } else if (kind === 'sparing') {
                take(pages.allocateSparing(wanted, alignment), wanted, 2 ** alignment, -1);
              } else if (kind === 'extend') {
                const piece = live[pick % Math.max(1, live.length)];
                if (piece === undefined || piece.order < 0 || piece.order >= pages.maxOrder) continue;
                const { page } = piece;
                const twice = 2 * piece.pages;
                const possible =
                  page % twice === 0 &&
                  page + twice <= count &&
                  !taken.subarray(page + piece.pages, page + twice).includes(1);
                expect(pages.extendBlock(page, piece.order, piece.order + 1)).toBe(possible);
                if (!possible) continue;
                taken.fill(1, page, page + twice);
                piece.pages = twice;
                piece.order++;
              } else if (live.length > 0) {
                const [piece] = live.splice((pick + time) % live.length, 1);
                taken.fill(0, piece.page, piece.page + piece.pages);
                if (piece.order >= 0) pages.freeBlock(piece.page, piece.order);
                else pages.freeAnywhere(piece.page, piece.pages);
              }
            }
            pages.invariants();
            expect(pages.freePages).toBe(taken.filter((mark) => mark === 0).length);
            for (let page = 0; page < count; page++) expect(pages.isFree(page)).toBe(taken[page] === 0);
          }
          for (const piece of live) {
            if (piece.order >= 0) pages.freeBlock(piece.page, piece.order);
            else pages.freeAnywhere(piece.page, piece.pages);
          }
          pages.invariants();
          expect(pages.freePages).toBe(count);
          expect(pages.buddy.freePages).toBe(count >> 5);
        },
      ),
      { numRuns: 150 },
    );
  });

  it('finds a run across the border of two chunks when nothing else is left', () => {
    const pages = new PageAllocator(64);
    const all = Array.from({ length: 64 }, () => pages.allocateRun(1, 0, FOR_BLOCKS));
    expect(new Set(all).size).toBe(64);
    for (let page = 20; page < 50; page++) pages.freeRun(page, 1);
    expect(pages.allocateRun(25, 0, FOR_BLOCKS)).toBe(-1);
    expect(pages.allocateAnywhere(31, 0)).toBe(-1);
    expect(pages.allocateAnywhere(28, 3)).toBe(-1);
    expect(pages.allocateAnywhere(26, 3)).toBe(24);
    expect(pages.freePages).toBe(4);
    pages.freeAnywhere(24, 26);
    expect(pages.allocateAnywhere(30, 0)).toBe(20);
    pages.invariants();
  });

  it('keeps what a caller has promised to others', () => {
    const pages = new PageAllocator(64);
    pages.keepFreePages = 33;
    expect(pages.allocateBlock(5)).toBe(-1);
    expect(pages.allocateRun(31, 0, FOR_BLOCKS)).toBeGreaterThanOrEqual(0);
    expect(pages.allocateRun(1, 0, FOR_SPANS)).toBe(-1);
    expect(pages.allocateAnywhere(1, 0)).toBe(-1);
    pages.keepFreePages = 32;
    expect(pages.allocateRun(1, 0, FOR_BLOCKS)).toBeGreaterThanOrEqual(0);
    expect(pages.allocateBlock(0)).toBe(-1);
  });

  it('cuts small pieces out of chunks that are cut up already', () => {
    const pages = new PageAllocator(1024);
    const held: number[] = [];
    for (let index = 0; index < 64; index++) held.push(pages.allocateRun(4, 0, FOR_BLOCKS));
    expect(pages.buddy.freePages).toBe(24);
    for (let index = 0; index < 64; index += 2) pages.freeRun(held[index], 4);
    for (let index = 0; index < 32; index++) pages.allocateRun(4, 2, FOR_BLOCKS);
    expect(pages.buddy.freePages).toBe(24);
  });
});
