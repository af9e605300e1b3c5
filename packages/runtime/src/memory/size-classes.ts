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

/** Spans are at most 2^6 pages, 256 KiB. */
const MAX_SPAN_ORDER = 6;

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

/** The first span with at least four objects and less than 5 % waste, else the one that wastes least. */
function spanOrderFor(objectBytes: number, maxOrder: number): number {
  let best = -1;
  let bestWaste = 1;
  for (let order = 0; order <= maxOrder; order++) {
    const spanBytes = PAGE_BYTES << order;
    const objects = Math.floor(spanBytes / objectBytes);
    if (objects === 0) continue;
    const waste = 1 - (objects * objectBytes) / spanBytes;
    if (objects >= 4 && waste < 0.05) return order;
    if (waste < bestWaste) {
      best = order;
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
 * pool classes: objects of one size, carved out of a span of pages. Spans start on a multiple of their
 * own size, so an object is aligned to the largest power of two that divides its class size.
 */
export class SizeClasses {
  /** One more than the largest class number. */
  readonly count: number;
  /** Usable bytes of a block, by class. */
  readonly bytes: Float64Array;
  /** Granules of an object, by class; pool classes only. */
  readonly granules: Int32Array;
  /** Pages of a span as a power of two, by class; pool classes only. */
  readonly spanOrder: Uint8Array;
  /** Objects in a span, by class; pool classes only. */
  readonly spanObjects: Int32Array;
  /** Class by size: entry `(sizeBytes + 7) >>> 3`, for sizes up to {@link MAX_CACHED_BYTES}. */
  readonly bySize: Uint8Array;

  constructor(arenaBytes: number) {
    const sizes = poolSizes();
    this.count = FIRST_POOL_CLASS + sizes.length;
    this.bytes = new Float64Array(this.count);
    this.granules = new Int32Array(this.count);
    this.spanOrder = new Uint8Array(this.count);
    this.spanObjects = new Int32Array(this.count);
    this.bySize = new Uint8Array(MAX_CACHED_BYTES / GRANULE_BYTES + 1);

    for (let order = 0; order < FIRST_POOL_CLASS; order++) this.bytes[order] = PAGE_BYTES * 2 ** order;
    // A span may not be a large part of a small arena: at most a sixteenth of it.
    const maxOrder = Math.min(MAX_SPAN_ORDER, orderFor(arenaBytes / 16 + 1) - 1);
    for (const [index, bytes] of sizes.entries()) {
      const pool = FIRST_POOL_CLASS + index;
      const order = spanOrderFor(bytes, maxOrder);
      this.bytes[pool] = bytes;
      this.granules[pool] = bytes / GRANULE_BYTES;
      this.spanOrder[pool] = order;
      this.spanObjects[pool] = Math.floor((PAGE_BYTES << order) / bytes);
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
    for (let pool = FIRST_POOL_CLASS; pool < this.count; pool++) {
      if (this.bytes[pool] >= sizeBytes && this.bytes[pool] < this.bytes[best]) best = pool;
    }
    return best;
  }
}
