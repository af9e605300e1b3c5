import { SunstarError } from '../errors.js';
import { formatSize } from '../size.js';
import { captureTrace, framesOf } from './call-site.js';

/** By how much the threshold rises when it is reached, after Seastar. */
const GROWTH = 1.618;

/** In this time half of what it has risen is gone. */
const HALF_LIFE_MS = 60_000;

/**
 * Notices allocations so large that fragmentation makes them unreliable. Each notice raises the threshold, so
 * that a program that makes many is told a few times and not a million times; with time it sinks again.
 */
export class LargeAllocations {
  /** How many there were at or above the threshold. */
  count = 0;
  /** Notices nothing while it is true. */
  isMuted = false;
  readonly #warn: (warning: SunstarError) => void;
  readonly #nowMs: () => number;
  #baseBytes = 0;
  #raisedBytes = 0;
  #raisedAtMs = 0;

  /** @param baseBytes - The lowest threshold; Infinity for none. */
  constructor(baseBytes: number, warn: (warning: SunstarError) => void, nowMs: () => number) {
    this.#warn = warn;
    this.#nowMs = nowMs;
    this.baseBytes = baseBytes;
  }

  /** The lowest threshold; Infinity when nothing is noticed. Setting it forgets what was raised. */
  get baseBytes(): number {
    return this.#baseBytes;
  }

  set baseBytes(baseBytes: number) {
    this.#baseBytes = baseBytes;
    this.#raisedBytes = 0;
  }

  /** The present threshold. */
  get thresholdBytes(): number {
    if (this.#raisedBytes === 0) return this.#baseBytes;
    return this.#baseBytes + this.#raisedBytes * 0.5 ** ((this.#nowMs() - this.#raisedAtMs) / HALF_LIFE_MS);
  }

  /** Looks at an allocation of at least {@link baseBytes}. */
  notice(sizeBytes: number, group: string): void {
    if (this.isMuted) return;
    const threshold = this.thresholdBytes;
    if (sizeBytes < threshold) return;
    this.count++;
    this.#raisedBytes = threshold * GROWTH - this.#baseBytes;
    this.#raisedAtMs = this.#nowMs();
    const warning = new SunstarError(
      'SUNSTAR_LARGE_ALLOCATION',
      `A block of ${formatSize(sizeBytes)} (${sizeBytes} bytes) was asked for${group === '' ? '' : ` in the group '${group}'`}. ` +
        'Large blocks are the first to fail when memory is fragmented: use an iobuf, or allocate it once at the start. ' +
        `The next warning is at ${formatSize(Math.round(threshold * GROWTH))}; configure({ largeAllocationBytes }) changes that.`,
    );
    warning.stack = `${warning.name}: ${warning.message}\n${framesOf(captureTrace())}`;
    this.#warn(warning);
  }
}
