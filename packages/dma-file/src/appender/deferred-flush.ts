import { SunstarError } from '@sunstar/runtime';
import type { AppendTarget, OneShotTimer } from './append-target.js';

/** By how much of itself a delay is shortened at random, so that logs which began together do not sync together. */
const JITTER = 1 / 8;

/** What is flushed. */
export interface FlushSubject {
  /** File position after the last appended byte. */
  readonly appended: number;
  /** The highest position for which a flush was asked. */
  readonly wanted: number;
  /** Asks for one. */
  request(): void;
}

/**
 * Flushes that nobody asks for: when enough bytes wait for one, or the oldest of them has waited long enough. A
 * flush that somebody asks for takes their place.
 */
export class DeferredFlush {
  readonly #subject: FlushSubject;
  readonly #bytes: number;
  readonly #delayMs: number;
  readonly #timer: OneShotTimer | null;
  #isSet = false;

  /** @param bytes - 0 for never. @param delayMs - 0 for never. */
  constructor(target: AppendTarget, subject: FlushSubject, bytes: number, delayMs: number) {
    this.#subject = subject;
    this.#bytes = bytes;
    this.#delayMs = delayMs;
    this.#timer = delayMs > 0 ? target.makeTimer({ complete: () => this.#due() }) : null;
  }

  /** After an append. */
  appended(): void {
    const { appended, wanted } = this.#subject;
    if (this.#bytes > 0 && appended - wanted >= this.#bytes) {
      this.#subject.request();
      this.requested();
    } else if (this.#timer !== null && !this.#isSet && appended > wanted) {
      this.#isSet = true;
      this.#timer.arm(this.#delayMs * (1 - Math.random() * JITTER));
    }
  }

  /** A flush was asked for that covers everything appended. */
  requested(): void {
    if (!this.#isSet) return;
    this.#isSet = false;
    this.#timer?.cancel();
  }

  /** Resolves when no timer is left. */
  async close(): Promise<void> {
    this.#isSet = false;
    await this.#timer?.close();
  }

  #due(): void {
    this.#isSet = false;
    const { appended, wanted } = this.#subject;
    if (appended > wanted) this.#subject.request();
  }

  invariants(): void {
    if (this.#isSet && this.#timer === null) {
      throw new SunstarError('SUNSTAR_INVARIANT', 'DeferredFlush: a timer is set that does not exist.');
    }
  }
}
