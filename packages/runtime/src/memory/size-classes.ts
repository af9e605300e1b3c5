import { SunstarError } from '../errors.js';

/** The unit of the buddy allocator, and of everything the kernel and O_DIRECT want aligned. */
export const PAGE_BYTES = 4096;

/**
 * The unit in which the allocator counts internally: the smallest block and the smallest alignment.
 * Granule numbers are 32-bit integers where byte offsets would not be.
 */
export const GRANULE_BYTES = 8;

export const GRANULES_PER_PAGE: number = PAGE_BYTES / GRANULE_BYTES;

/** From this size on, requests go straight to the buddy allocator. */
export const POOL_LIMIT_BYTES: number = 64 * 1024;

/** The largest block that a magazine caches, and the largest size with an entry in the class table. */
export const MAX_CACHED_BYTES: number = 128 * 1024;

/** Classes below this number are buddy blocks of 2^class pages; from here on they are pools. */
export const FIRST_POOL_CLASS = 32;

/** Spans are cut out of one chunk of 32 pages. */
const MAX_SPAN_PAGES = 32;

/** Blocks that are runs of pages have at most this many, 128 KiB. */
const MAX_RUN_PAGES = 32;

/** Below this size a span has four objects at least; above, it is as short as can be. */
const FEW_OBJECTS_BYTES = 8 * 1024;

/** The largest part of a span that no object fits into, where a span of 32 pages allows it. */
const MAX_SPAN_WASTE = 0.02;

/** Order of the largest block whose granules an Int32 can count. */
const MAX_ORDER = 21;

/** Four sizes per power of two: 8 … 56 64 80 96 112 128 160 … 57344. */
function poolSizes(): number[] {
  const sizes: number[] = [];
  for (let bytes = 8; bytes < 64; bytes += 8) sizes.push(bytes);
  for (let base = 64; base < POOL_LIMIT_BYTES; base *= 2) {
    for (let quarter = 4; quarter < 8; quarter++) {
      const bytes = (base / 4) * quarter;
      // A power of two of at least a page is a buddy block: no span could serve it better.
      if (quarter !== 4 || bytes < PAGE_BYTES) sizes.push(bytes);
    }
  }
  return sizes;
}

/** Pages of the shortest span that wastes little and has enough objects, else of the one that wastes least. */
function spanPagesFor(objectBytes: number, maxPages: number): number {
  const wanted = objectBytes < FEW_OBJECTS_BYTES ? 4 : 1;
  let best = -1;
  let bestWaste = 1;
  for (let pages = 1; pages <= maxPages; pages++) {
    const spanBytes = PAGE_BYTES * pages;
    const objects = Math.floor(spanBytes / objectBytes);
    if (objects === 0) continue;
    const waste = 1 - (objects * objectBytes) / spanBytes;
    if (objects >= wanted && waste < MAX_SPAN_WASTE) return pages;
    if (waste < bestWaste) {
      best = pages;
      bestWaste = waste;
    }
  }
  return best;
}

/** Order of the smallest buddy block, in powers of two of pages, that holds `sizeBytes`. */
export function orderFor(sizeBytes: number): number {
  const pages = Math.ceil(sizeBytes / PAGE_BYTES);
  return pages <= 1 ? 0 : 32 - Math.clz32(pages - 1);
}

/**
 * Which block size serves which request (after the size classes of Seastar and jemalloc).
 *
 * Class numbers 0–31 are buddy blocks of 2^class pages. Numbers from {@link FIRST_POOL_CLASS} on are
 * pool classes: objects of one size, carved out of a span of pages. A span starts on a multiple of the largest
 * power of two that divides its objects' size, and so every object does.
 */
export class SizeClasses {
  /** Class of blocks that are a run of one page; the next classes are runs of 2 … 32 pages. */
  readonly firstRun: number;
  /** One more than the largest class number. */
  readonly count: number;
  /** Usable bytes of a block, by class. */
  readonly bytes: Float64Array;
  /** Granules of a block, by class; 0 for classes beyond the largest arena. */
  readonly granules: Int32Array;
  /** Pages of a span, by class; pool classes only. */
  readonly spanPages: Uint8Array;
  /** Alignment of a span in pages, as a power of two, by class; pool classes only. */
  readonly spanAlignment: Uint8Array;
  /** Objects in a span, by class; pool classes only. */
  readonly spanObjects: Int32Array;
  /** Class by size: entry `(sizeBytes + 7) >>> 3`, for sizes up to {@link MAX_CACHED_BYTES}. */
  readonly bySize: Uint8Array;

  constructor(arenaBytes: number) {
    const sizes = poolSizes();
    this.firstRun = FIRST_POOL_CLASS + sizes.length;
    this.count = this.firstRun + MAX_RUN_PAGES;
    this.bytes = new Float64Array(this.count);
    this.granules = new Int32Array(this.count);
    this.spanPages = new Uint8Array(this.count);
    this.spanAlignment = new Uint8Array(this.count);
    this.spanObjects = new Int32Array(this.count);
    this.bySize = new Uint8Array(MAX_CACHED_BYTES / GRANULE_BYTES + 1);

    for (let order = 0; order < FIRST_POOL_CLASS; order++) {
      this.bytes[order] = PAGE_BYTES * 2 ** order;
      this.granules[order] = order <= MAX_ORDER ? GRANULES_PER_PAGE * 2 ** order : 0;
    }
    // A span may not be a large part of a small arena: at most a sixteenth of it.
    const maxPages = Math.min(MAX_SPAN_PAGES, Math.floor(arenaBytes / 16 / PAGE_BYTES));
    for (const [index, bytes] of sizes.entries()) {
      const pool = FIRST_POOL_CLASS + index;
      const pages = spanPagesFor(bytes, maxPages);
      this.bytes[pool] = bytes;
      this.granules[pool] = bytes / GRANULE_BYTES;
      this.spanPages[pool] = pages;
      for (let order = 1; bytes % (PAGE_BYTES << order) === 0; order++) this.spanAlignment[pool] = order;
      this.spanObjects[pool] = Math.floor((PAGE_BYTES * pages) / bytes);
    }

    for (let pages = 1; pages <= MAX_RUN_PAGES; pages++) {
      this.bytes[this.firstRun + pages - 1] = PAGE_BYTES * pages;
      this.granules[this.firstRun + pages - 1] = GRANULES_PER_PAGE * pages;
    }

    for (let entry = 1; entry < this.bySize.length; entry++) {
      this.bySize[entry] = this.#search(entry * GRANULE_BYTES);
    }
  }

  /** Class of a request; `sizeBytes` is a positive integer. */
  of(sizeBytes: number): number {
    return sizeBytes <= MAX_CACHED_BYTES ? this.bySize[(sizeBytes + 7) >>> 3] : orderFor(sizeBytes);
  }

  /** The class with the smallest blocks that hold `sizeBytes`. */
  #search(sizeBytes: number): number {
    let best = orderFor(sizeBytes);
    for (let pool = FIRST_POOL_CLASS; pool < this.firstRun; pool++) {
      if (this.bytes[pool] >= sizeBytes && this.bytes[pool] < this.bytes[best]) best = pool;
    }
    return best;
  }
}

/** Checks the size of a request. @throws SunstarError SUNSTAR_INVALID_SIZE */
export function checkSize(sizeBytes: number): void {
  if (Number.isSafeInteger(sizeBytes) && sizeBytes > 0) return;
  throw new SunstarError(
    'SUNSTAR_INVALID_SIZE',
    `The size of a block is a whole number of bytes, 1 or more, not ${sizeBytes}.`,
  );
}
