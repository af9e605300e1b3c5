import type { LiveMap } from './live-map.js';

/**
 * Whom live blocks are charged to: a memory group, or the shard itself, which is charged nothing. Every account
 * knows its own blocks, so that a block is found and refunded whoever frees it.
 *
 * Amounts are granules in integer fields: a sum of bytes beyond 2^31 would be a boxed number.
 */
export class Account {
  /** Empty for the shard's own. */
  readonly name: string;
  readonly live: LiveMap;
  usedGranules = 0;
  peakGranules = 0;
  limitGranules: number;
  reservedGranules = 0;
  allocations = 0;
  frees = 0;
  failedAllocations = 0;
  reclaims = 0;

  constructor(name: string, live: LiveMap, limitGranules: number) {
    this.name = name;
    this.live = live;
    this.limitGranules = limitGranules;
  }

  get isGroup(): boolean {
    return this.name !== '';
  }

  /** Granules of its reservation that it has not used. */
  get unusedReservation(): number {
    return Math.max(0, this.reservedGranules - this.usedGranules);
  }
}
