import { formatSize } from '../size.js';
import type { Account } from './account.js';
import type { Allocator } from './allocator.js';

const TOP = 10;
const GRANULE_BYTES = 8;
const AVAILABILITY_BYTES = [4096, 16_384, 65_536, 131_072, 1_048_576];

function percent(part: number, whole: number): string {
  return `${whole === 0 ? 0 : ((100 * part) / whole).toFixed(1)} %`;
}

/** What is in the memory and who holds it, for people: the answer to "why was there none?". */
export function memoryReport(allocator: Allocator): string {
  const { blocks } = allocator;
  const space = blocks.space();
  const { totalBytes, usedBytes, freeBytes, cachedBytes, wasteBytes, largestFreeBlockBytes, liveBlocks } =
    space;
  const availability = AVAILABILITY_BYTES.filter((sizeBytes) => sizeBytes <= blocks.maxBlockBytes).map(
    (sizeBytes) => `${formatSize(sizeBytes)}: ${percent(blocks.usableBytes(sizeBytes), freeBytes)}`,
  );
  return [
    `Memory: ${formatSize(totalBytes)}, ${formatSize(usedBytes)} used (${percent(usedBytes, totalBytes)}) by ${liveBlocks} blocks,`,
    `  ${formatSize(freeBytes)} free, ${formatSize(cachedBytes)} of it cached, ${formatSize(wasteBytes)} wasted.`,
    `  Largest free block ${formatSize(largestFreeBlockBytes)}. Part of the free memory that serves a size: ${availability.join(', ')}.`,
    ...topSizes(allocator),
    ...groups(allocator),
    ...reclaimers(allocator),
    ...sites(allocator),
  ].join('\n');
}

function topSizes({ blocks }: Allocator): string[] {
  const { bytes } = blocks.classes;
  const live = Array.from(bytes, (sizeBytes, sizeClass) => ({
    sizeBytes,
    count: blocks.liveBlocks(sizeClass),
  }));
  const top = live
    .filter(({ count }) => count > 0)
    .sort((a, b) => b.count * b.sizeBytes - a.count * a.sizeBytes)
    .slice(0, TOP);
  return [
    'Sizes that hold most:',
    ...top.map(
      ({ sizeBytes, count }) =>
        `  ${formatSize(sizeBytes)}: ${count} blocks, ${formatSize(sizeBytes * count)} (${percent(sizeBytes * count, blocks.sizeBytes)})`,
    ),
  ];
}

function groups({ budgets }: Allocator): string[] {
  if (budgets.groups.length === 0) return ['Groups: none.'];
  const byUse = budgets.groups.toSorted((a, b) => b.usedGranules - a.usedGranules);
  return ['Groups:', ...byUse.map(groupLine)];
}

function groupLine(group: Account): string {
  const size = (granules: number): string =>
    Number.isFinite(granules) ? formatSize(granules * GRANULE_BYTES) : 'no limit';
  return (
    `  ${group.name}: ${size(group.usedGranules)} used of ${size(group.limitGranules)}, ${size(group.reservedGranules)} ` +
    `reserved, at most ${size(group.peakGranules)}; ${group.failedAllocations} allocations failed`
  );
}

function reclaimers({ reclaimers }: Allocator): string[] {
  const stats = reclaimers.stats();
  if (stats.length === 0)
    return ['Reclaimers: none. A cache that can shrink should register one with addReclaimer().'];
  return [
    'Reclaimers:',
    ...stats.map(
      ({ name, priority, asynchronous, calls, reclaimedBytes, failures }) =>
        `  ${name} (priority ${priority}${asynchronous ? ', asynchronous' : ''}): ${calls} calls, ` +
        `${formatSize(reclaimedBytes)} reclaimed, ${failures} failures`,
    ),
  ];
}

function sites({ profile, debug }: Allocator): string[] {
  if (profile === null && debug === null) {
    return ['Sites: unknown. SUNSTAR_HEAP_PROFILE=524288 or startHeapProfile() samples who allocates.'];
  }
  const held = profile === null ? (debug?.sites() ?? []) : profile.sites();
  return [
    'Sites that hold most:',
    ...held
      .slice(0, TOP)
      .filter(({ liveBytes }) => liveBytes > 0)
      .map(({ liveBytes, liveBlocks, stack }) => {
        const frames = stack
          .split('\n')
          .slice(0, 3)
          .map((frame) => frame.trim());
        return `  ${formatSize(liveBytes)} in ${liveBlocks} blocks ${frames.join(' ')}`;
      }),
  ];
}
