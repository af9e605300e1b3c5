import { SunstarError } from '../errors.js';
import { captureTrace, framesOf } from './call-site.js';

/** Call sites that are told apart; what comes after goes to one more. */
const MAX_SITES = 10_000;

/** What one call site allocated and still holds, as estimated from samples. */
export interface ProfileSite {
  /** From the caller of the allocator on, one frame a line. */
  readonly stack: string;
  readonly allocatedBlocks: number;
  readonly allocatedBytes: number;
  readonly liveBlocks: number;
  readonly liveBytes: number;
}

/** The counters of a {@link ProfileSite}. */
export class Site {
  readonly stack: string;
  allocatedBlocks = 0;
  allocatedBytes = 0;
  liveBlocks = 0;
  liveBytes = 0;

  constructor(stack: string) {
    this.stack = stack;
  }
}

/**
 * Which code holds the memory: every so many bytes, at random, an allocation is sampled with its stack, and
 * stands for all that were not. The figures are estimates whose error shrinks with the number of samples; the
 * method is that of tcmalloc and Go.
 */
export class HeapProfile {
  /** On average one sample in as many allocated bytes. */
  readonly intervalBytes: number;
  readonly #sites = new Map<string, Site>();
  #bytesToSample = 0;

  /** @throws SunstarError SUNSTAR_INVALID_OPTION */
  constructor(intervalBytes: number) {
    if (!Number.isSafeInteger(intervalBytes) || intervalBytes < 1 || intervalBytes > 2 ** 30) {
      throw new SunstarError(
        'SUNSTAR_INVALID_OPTION',
        `The interval of a heap profile is 1 to 2^30 bytes, not ${intervalBytes}. 524288 costs next to nothing.`,
      );
    }
    this.intervalBytes = intervalBytes;
    this.#rewind();
  }

  /** Counts an allocation; true when it is to be sampled. */
  isDue(sizeBytes: number): boolean {
    this.#bytesToSample -= sizeBytes;
    return this.#bytesToSample < 0;
  }

  /** Samples the allocation that is being made. */
  sample(sizeBytes: number): Site {
    this.#rewind();
    const stack = framesOf(captureTrace());
    let site = this.#sites.get(stack);
    if (site === undefined) {
      const key = this.#sites.size < MAX_SITES ? stack : '    at (other call sites)';
      site = this.#sites.get(key) ?? new Site(key);
      this.#sites.set(key, site);
    }
    const blocks = this.#blocksFor(sizeBytes);
    site.allocatedBlocks += blocks;
    site.allocatedBytes += blocks * sizeBytes;
    site.liveBlocks += blocks;
    site.liveBytes += blocks * sizeBytes;
    return site;
  }

  /** A sampled block was freed. */
  freed(site: Site, sizeBytes: number): void {
    const blocks = this.#blocksFor(sizeBytes);
    site.liveBlocks -= blocks;
    site.liveBytes -= blocks * sizeBytes;
  }

  /** All call sites, the one that holds most first. */
  sites(): ProfileSite[] {
    return [...this.#sites.values()]
      .map(({ stack, allocatedBlocks, allocatedBytes, liveBlocks, liveBytes }) => ({
        stack,
        allocatedBlocks: Math.round(allocatedBlocks),
        allocatedBytes: Math.round(allocatedBytes),
        liveBlocks: Math.max(0, Math.round(liveBlocks)),
        liveBytes: Math.max(0, Math.round(liveBytes)),
      }))
      .sort((a, b) => b.liveBytes - a.liveBytes || b.allocatedBytes - a.allocatedBytes);
  }

  /** How many blocks one sampled block of this size stands for: it was sampled with this probability. */
  #blocksFor(sizeBytes: number): number {
    return 1 / -Math.expm1(-sizeBytes / this.intervalBytes);
  }

  /** Exponentially distributed, so that every byte has the same chance whatever the pattern of sizes. */
  #rewind(): void {
    this.#bytesToSample = Math.floor(-Math.log(1 - Math.random()) * this.intervalBytes);
  }
}
