import { type Channel, channel } from 'node:diagnostics_channel';
import { SunstarError } from '../errors.js';
import type { Reclaimers } from './reclaimers.js';

/** Reclaims until this many times the low-water mark is free, so that it does not start again at once. */
const TARGET_FACTOR = 1.5;

/** After a round that freed nothing, how long none is tried. */
const PAUSE_MS = 100;

/** Told of every run: `{ freeBytes, targetBytes }`. */
export const MEMORY_PRESSURE: Channel = channel('sunstar:memory-pressure');

/** What the reclaim works on. */
export interface Reclaimable {
  readonly reclaimers: Reclaimers;
  /** Bytes in pages that are free for anything. */
  freePageBytes(): number;
  trimCaches(): void;
  warn(warning: SunstarError): void;
}

/**
 * Frees memory before an allocation needs it: when less than the low-water mark is free, it asks the synchronous
 * and then the asynchronous reclaimers, from the event loop, until there is half as much again or nothing helps.
 */
export class BackgroundReclaim {
  lowWaterBytes: number;
  /** How often it has run. */
  runs = 0;
  readonly #memory: Reclaimable;
  #busy = false;
  #needBytes = 0;
  #pauseUntilMs = 0;

  constructor(memory: Reclaimable, lowWaterBytes: number) {
    this.#memory = memory;
    this.lowWaterBytes = lowWaterBytes;
  }

  /**
   * Starts it unless it runs, has just failed, or has nobody to ask.
   *
   * @param needBytes - What an allocation has not found: at least as much is to become free.
   */
  request(needBytes: number): void {
    this.#needBytes = Math.max(this.#needBytes, needBytes);
    if (this.#busy || this.#memory.reclaimers.entries.length === 0) return;
    if (this.#pauseUntilMs !== 0 && performance.now() < this.#pauseUntilMs) return;
    this.#busy = true;
    setImmediate(() => void this.#run());
  }

  async #run(): Promise<void> {
    this.runs++;
    let before = this.#freeBytes();
    const targetBytes = Math.max(
      this.lowWaterBytes * TARGET_FACTOR,
      this.#needBytes === 0 ? 0 : before + this.#needBytes,
    );
    this.#needBytes = 0;
    MEMORY_PRESSURE.publish({ freeBytes: before, targetBytes });
    await this.#round(targetBytes);
    while (this.#freeBytes() < targetBytes && this.#freeBytes() > before) {
      before = this.#freeBytes();
      await this.#round(targetBytes);
    }
    this.#pauseUntilMs = this.#freeBytes() < targetBytes ? performance.now() + PAUSE_MS : 0;
    this.#busy = false;
  }

  /** In whole pages, as allocations of every size need them. */
  #freeBytes(): number {
    this.#memory.trimCaches();
    return this.#memory.freePageBytes();
  }

  /** Asks every reclaimer once, those that need not wait first. */
  async #round(targetBytes: number): Promise<void> {
    const { reclaimers } = this.#memory;
    const level = (): number => this.#freeBytes();
    const inTurn = reclaimers.entries.toSorted(
      (a, b) => Number(a.reclaim === null) - Number(b.reclaim === null),
    );
    for (const entry of inTurn) {
      const before = level();
      if (before >= targetBytes) return;
      const needBytes = Math.ceil(targetBytes - before);
      try {
        if (entry.reclaimLater === null) {
          reclaimers.call(entry, needBytes, level);
        } else {
          entry.calls++;
          await entry.reclaimLater(needBytes).catch((error: unknown) => {
            entry.failures++;
            throw error;
          });
          entry.reclaimedBytes += Math.max(0, level() - before);
        }
      } catch (cause) {
        const message = `The reclaimer '${entry.name}' failed in the background; the others are asked all the same.`;
        this.#memory.warn(new SunstarError('SUNSTAR_RECLAIM_FAILED', message, { cause }));
      }
    }
  }
}
