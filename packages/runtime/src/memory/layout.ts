import type { BlockStore } from './block-store.js';
import { invariant } from './invariant.js';
import type { LiveMap } from './live-map.js';
import { FIRST_POOL_CLASS, GRANULES_PER_PAGE, PAGE_BYTES } from './size-classes.js';

/**
 * Walks the arena page by page and throws SUNSTAR_INVARIANT unless free blocks, spans, cached blocks and live
 * blocks cover each page exactly once, and add up to what the store counts. For tests: slow.
 */
export function verifyTiling(blocks: BlockStore, live: LiveMap): void {
  const { classes, pages, pools, magazines, classOfPage } = blocks;
  const cached = new Set<number>();
  for (let sizeClass = 0; sizeClass < classes.count; sizeClass++) {
    for (let index = 0; index < magazines.depth(sizeClass); index++) {
      const granule = magazines.at(sizeClass, index);
      invariant(!cached.has(granule), 'a block is cached twice', granule);
      invariant(!live.has(granule), 'a live block is cached', granule);
      invariant(
        classOfPage[Math.floor(granule / GRANULES_PER_PAGE)] === sizeClass,
        'a wrong magazine',
        granule,
      );
      cached.add(granule);
    }
  }

  let liveBlocks = 0;
  let usedBytes = 0;
  let freeBytes = 0;
  let wasteBytes = 0;
  for (let page = 0; page < pages.pageCount; ) {
    const start = page * GRANULES_PER_PAGE;
    const sizeClass = classOfPage[page];
    if (pages.isFree(page)) {
      freeBytes += PAGE_BYTES;
      page++;
    } else if (sizeClass < FIRST_POOL_CLASS || sizeClass >= classes.firstRun) {
      invariant(live.has(start) !== cached.has(start), 'a page is neither live, cached nor free', page);
      if (live.has(start)) liveBlocks++;
      if (live.has(start)) usedBytes += classes.bytes[sizeClass];
      else freeBytes += classes.bytes[sizeClass];
      page += classes.bytes[sizeClass] / PAGE_BYTES;
    } else {
      const objectBytes = classes.bytes[sizeClass];
      for (let index = 0; index < classes.spanObjects[sizeClass]; index++) {
        const granule = start + index * classes.granules[sizeClass];
        const inSpan = pools.isFree(sizeClass, granule);
        const owners = Number(inSpan) + Number(live.has(granule)) + Number(cached.has(granule));
        invariant(owners === 1, 'an object is not in exactly one place', granule);
        if (live.has(granule)) liveBlocks++;
        if (live.has(granule)) usedBytes += objectBytes;
        else freeBytes += objectBytes;
      }
      wasteBytes += pools.spanBytes(sizeClass) - classes.spanObjects[sizeClass] * objectBytes;
      page += classes.spanPages[sizeClass];
    }
  }

  const counted = blocks.space();
  let marks = 0;
  for (const _ of live.values()) marks++;
  invariant(marks === liveBlocks, 'something is marked live that is no block');
  invariant(liveBlocks === counted.liveBlocks, 'live blocks are miscounted');
  invariant(usedBytes === counted.usedBytes, 'used bytes are miscounted');
  invariant(freeBytes === counted.freeBytes, 'free bytes are miscounted');
  invariant(wasteBytes === counted.wasteBytes, 'waste is miscounted');
  invariant(usedBytes + freeBytes + wasteBytes === counted.totalBytes, 'the blocks do not tile the arena');
}
