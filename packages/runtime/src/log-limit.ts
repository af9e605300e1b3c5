import { SunstarError } from './errors.js';

const MINUTE_MS = 60_000;
/** Messages that are told apart; beyond, the oldest one begins anew. */
const MAX_KEYS = 1000;

interface Repeats {
  admitted: number;
  suppressed: number;
}

/** Lets each message pass so many times a minute, and tells afterwards how many did not. */
export class LogLimit {
  readonly #perMinute: number;
  readonly #onSuppressed: (key: string, suppressed: number) => void;
  readonly #repeats = new Map<string, Repeats>();
  #timer: NodeJS.Timeout | undefined;

  /**
   * @param perMinute - How often a key passes in a minute, counted from its first one.
   * @param onSuppressed - Called at the end of a minute for each key that was held back.
   */
  constructor(perMinute: number, onSuppressed: (key: string, suppressed: number) => void) {
    this.#perMinute = perMinute;
    this.#onSuppressed = onSuppressed;
  }

  /** Whether this one may pass. */
  admit(key: string): boolean {
    const repeats = this.#repeats.get(key);
    if (repeats === undefined) {
      if (this.#repeats.size === MAX_KEYS) this.#forgetOldest();
      this.#repeats.set(key, { admitted: 1, suppressed: 0 });
      // Does not keep the process alive: what was suppressed in its last minute is not told.
      this.#timer ??= setTimeout(() => this.endMinute(), MINUTE_MS).unref();
      return true;
    }
    if (repeats.admitted < this.#perMinute) {
      repeats.admitted++;
      return true;
    }
    repeats.suppressed++;
    return false;
  }

  /** Tells what was suppressed and begins anew; called by a timer. */
  endMinute(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    const ended = [...this.#repeats];
    this.#repeats.clear();
    for (const [key, { suppressed }] of ended) if (suppressed > 0) this.#onSuppressed(key, suppressed);
  }

  #forgetOldest(): void {
    const [oldest] = this.#repeats;
    this.#repeats.delete(oldest[0]);
    if (oldest[1].suppressed > 0) this.#onSuppressed(oldest[0], oldest[1].suppressed);
  }

  /** Throws when the state contradicts itself. For tests. */
  invariants(): void {
    for (const [key, { admitted, suppressed }] of this.#repeats) {
      if (admitted <= this.#perMinute && (suppressed === 0 || admitted === this.#perMinute)) continue;
      throw new SunstarError(
        'SUNSTAR_BROKEN_INVARIANT',
        `"${key}" passed ${admitted} times and not ${suppressed} times.`,
      );
    }
  }
}
