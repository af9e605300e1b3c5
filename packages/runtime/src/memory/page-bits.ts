// A chunk of 32 pages as one 32-bit word: bit k is set when page k is free.

const NONE = -1;

/** Pages of a chunk. */
const CHUNK_PAGES = 32;

/** Positions in a chunk that are a multiple of 2^index. */
export const ALIGNED: readonly number[] = [-1, 0x5555_5555, 0x1111_1111, 0x0101_0101, 0x0001_0001, 1];

export function alignUp(page: number, order: number): number {
  return (page + (1 << order) - 1) & (-1 << order);
}

/** The bits of `pages` pages from `page` on, within its chunk. */
export function mask(page: number, pages: number): number {
  return pages === CHUNK_PAGES ? -1 : ((1 << pages) - 1) << page;
}

/** Bits where a run of `pages` ones begins. */
export function runsIn(free: number, pages: number): number {
  let starts = free;
  let length = 1;
  while (length * 2 <= pages) {
    starts &= starts >>> length;
    length *= 2;
  }
  return length < pages ? starts & (starts >>> (pages - length)) : starts;
}

/** Where a run fits best, −1 when nowhere: in a hole of just its length, else at the edge of one. */
export function findRun(free: number, pages: number, alignmentOrder: number): number {
  const fits = runsIn(free, pages) & ALIGNED[alignmentOrder];
  if (fits === 0) return NONE;
  const afterTaken = fits & ~(free << 1);
  const beforeTaken = fits & ~(free >>> pages);
  const exact = afterTaken & beforeTaken;
  const best = exact !== 0 ? exact : afterTaken !== 0 ? afterTaken : beforeTaken !== 0 ? beforeTaken : fits;
  return 31 - Math.clz32(best & -best);
}

export function longestRun(free: number): number {
  if (free === 0) return 0;
  const of2 = free & (free >>> 1);
  if (of2 === 0) return 1;
  const of4 = of2 & (of2 >>> 2);
  const of8 = of4 & (of4 >>> 4);
  const of16 = of8 & (of8 >>> 8);
  // Where runs of `length` begin; each step adds its length if a run of so many follows one of them.
  let length = of16 !== 0 ? 16 : of8 !== 0 ? 8 : of4 !== 0 ? 4 : 2;
  let starts = of16 !== 0 ? of16 : of8 !== 0 ? of8 : of4 !== 0 ? of4 : of2;
  let longer = starts & (of8 >>> length);
  if (length > 8 && longer !== 0) [starts, length] = [longer, length + 8];
  longer = starts & (of4 >>> length);
  if (length > 4 && longer !== 0) [starts, length] = [longer, length + 4];
  longer = starts & (of2 >>> length);
  if (length > 2 && longer !== 0) [starts, length] = [longer, length + 2];
  return (starts & (free >>> length)) !== 0 ? length + 1 : length;
}

export function countOnes(bits: number): number {
  let count = bits - ((bits >>> 1) & 0x5555_5555);
  count = (count & 0x3333_3333) + ((count >>> 2) & 0x3333_3333);
  return Math.imul((count + (count >>> 4)) & 0x0f0f_0f0f, 0x0101_0101) >>> 24;
}
