import type { Account } from './account.js';
import type { Allocator } from './allocator.js';
import { invariant } from './invariant.js';
import { FIRST_POOL_CLASS, GRANULES_PER_PAGE, PAGE_BYTES } from './size-classes.js';

/**
 * Walks the arena page by page and throws SUNSTAR_INVARIANT unless free blocks, spans, cached blocks and live
 * blocks cover each page exactly once, and add up to what the store counts. For tests: slow.
 */
export function verifyTiling(allocator: Allocator): void {
  const { blocks, own, budgets, marks } = allocator;
  blocks.spare.settle();
  const owners = new Map<number, Account>();
  for (const account of [own, ...budgets.groups]) {
    for (const granule of account.live.values()) {
      invariant(!owners.has(granule), 'a block has two owners', granule);
      owners.set(granule, account);
    }
  }
  for (const [granule, { account }] of marks) {
    invariant(!owners.has(granule), 'a marked block has two owners', granule);
    owners.set(granule, account);
  }
  verifyAccounts(allocator, owners);
  const { classes, pages, pools, magazines, classOfPage } = blocks;
  const cached = new Set<number>();
  for (let sizeClass = 0; sizeClass < classes.count; sizeClass++) {
    for (let index = 0; index < magazines.depth(sizeClass); index++) {
      const granule = magazines.at(sizeClass, index);
      invariant(!cached.has(granule), 'a block is cached twice', granule);
      invariant(!owners.has(granule), 'a live block is cached', granule);
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
      invariant(owners.has(start) !== cached.has(start), 'a page is neither live, cached nor free', page);
      if (owners.has(start)) liveBlocks++;
      if (owners.has(start)) usedBytes += classes.bytes[sizeClass];
      else freeBytes += classes.bytes[sizeClass];
      page += classes.bytes[sizeClass] / PAGE_BYTES;
    } else {
      const objectBytes = classes.bytes[sizeClass];
      for (let index = 0; index < classes.spanObjects[sizeClass]; index++) {
        const granule = start + index * classes.granules[sizeClass];
        const inSpan = pools.isFree(sizeClass, granule);
        const places = Number(inSpan) + Number(owners.has(granule)) + Number(cached.has(granule));
        invariant(places === 1, 'an object is not in exactly one place', granule);
        if (owners.has(granule)) liveBlocks++;
        if (owners.has(granule)) usedBytes += objectBytes;
        else freeBytes += objectBytes;
      }
      wasteBytes += pools.spanBytes(sizeClass) - classes.spanObjects[sizeClass] * objectBytes;
      page += classes.spanPages[sizeClass];
    }
  }

  const counted = blocks.space();
  invariant(owners.size === liveBlocks, 'something is marked live that is no block');
  invariant(liveBlocks === counted.liveBlocks, 'live blocks are miscounted');
  invariant(usedBytes === counted.usedBytes, 'used bytes are miscounted');
  invariant(freeBytes === counted.freeBytes, 'free bytes are miscounted');
  invariant(wasteBytes === counted.wasteBytes, 'waste is miscounted');
  invariant(usedBytes + freeBytes + wasteBytes === counted.totalBytes, 'the blocks do not tile the arena');
}

/** What groups are charged is what they have; what is counted as lent is lent. */
function verifyAccounts(
  { blocks, budgets, marks, lentBlocks }: Allocator,
  owners: Map<number, Account>,
): void {
  const used = new Map<Account, number>();
  for (const [granule, account] of owners) {
    const sizeClass = blocks.classOfPage[Math.floor(granule / GRANULES_PER_PAGE)];
    used.set(account, (used.get(account) ?? 0) + blocks.classes.granules[sizeClass]);
  }
  for (const [index, group] of budgets.groups.entries()) {
    invariant(group.usedGranules === (used.get(group) ?? 0), 'a group is charged wrongly', index);
    invariant(group.usedGranules <= group.limitGranules, 'a group has exceeded its limit', index);
    invariant(group.peakGranules >= group.usedGranules, 'a group uses more than ever', index);
    let held = 0;
    for (const owner of owners.values()) if (owner === group) held++;
    invariant(group.allocations - group.frees === held, 'the blocks of a group are miscounted', index);
  }
  let lent = 0;
  for (const mark of marks.values()) if (mark.lent) lent++;
  invariant(lent === lentBlocks, 'the lent blocks are miscounted');
}
