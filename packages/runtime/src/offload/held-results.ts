import { SunstarError } from '../errors.js';
import type { MessageLimits } from '../smp/codec/limits.js';
import { threadMemory } from './thread-memory.js';
import { MessageLoans, writeValues } from './wire.js';

/** The most results of one thread that shards read at the same time. */
export const MAX_HELD_RESULTS = 4096;

/**
 * Results of a pool thread that shards read in its memory. A thread that waits for work runs no JavaScript, so nobody
 * can tell it that a shard is done: shards count down a word in shared memory, and it looks before the next result.
 */
export class HeldResults {
  /** By place: how many pieces of a result are still out. */
  readonly counts: Int32Array = new Int32Array(new SharedArrayBuffer(4 * MAX_HELD_RESULTS));
  /** What frees each. */
  readonly #held = new Map<number, () => void>();
  readonly #limits: MessageLimits;
  #nextPlace = 0;

  constructor(limits: MessageLimits) {
    this.#limits = limits;
  }

  /**
   * Writes a result.
   *
   * @returns What describes it, and its place; −1 when nothing of it stays here.
   * @throws SunstarError SUNSTAR_OFFLOAD_RESULTS_HELD; what {@link writeValues} throws.
   */
  write(value: unknown, role: string): { readonly image: Int32Array; readonly place: number } {
    this.#reclaim();
    const loans = new MessageLoans();
    const memory = threadMemory();
    const { image, block } = writeValues(memory, this.#limits, [value], role, loans);
    const pieces = loans.count + (block >= 0 ? 1 : 0);
    if (pieces === 0) return { image, place: -1 };
    const free = (): void => {
      loans.takeAllBack();
      if (block >= 0) memory.free(block);
    };
    const place = this.#freePlace();
    if (place < 0) {
      free();
      throw new SunstarError(
        'SUNSTAR_OFFLOAD_RESULTS_HELD',
        `Shards hold ${MAX_HELD_RESULTS} results in the memory of one thread of the offload pool. Dispose them sooner.`,
      );
    }
    this.#held.set(place, free);
    Atomics.store(this.counts, place, pieces);
    return { image, place };
  }

  #reclaim(): void {
    for (const [place, free] of this.#held) {
      if (Atomics.load(this.counts, place) !== 0) continue;
      free();
      this.#held.delete(place);
    }
  }

  #freePlace(): number {
    if (this.#held.size >= MAX_HELD_RESULTS) return -1;
    while (this.#held.has(this.#nextPlace)) this.#nextPlace = (this.#nextPlace + 1) % MAX_HELD_RESULTS;
    return this.#nextPlace;
  }
}
