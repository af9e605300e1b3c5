/** Something with deadlines. */
export interface Swept {
  sweep(nowMs: number): void;
}

const MIN_PERIOD_MS = 25;
const MAX_PERIOD_MS = 1000;

/**
 * Checks the deadlines of many connections with one timer: every quarter of the shortest of them.
 * A timer per connection would have to be moved with each byte that is received. The timer runs only
 * while there is something to watch, and does not keep the process alive.
 */
export class Sweeper {
  readonly #nowMs: () => number;
  readonly #watched = new Set<Swept>();
  #timer: NodeJS.Timeout | null = null;
  #periodMs = MAX_PERIOD_MS;

  /** @param nowMs - The clock that the deadlines refer to. */
  constructor(nowMs: () => number) {
    this.#nowMs = nowMs;
  }

  /** How many are watched. */
  get watchedCount(): number {
    return this.#watched.size;
  }

  /** Calls `target.sweep` at least four times per `timeoutMs`, at most every 25 ms. */
  watch(target: Swept, timeoutMs: number): void {
    this.#watched.add(target);
    const periodMs = Math.max(MIN_PERIOD_MS, Math.min(MAX_PERIOD_MS, Math.floor(timeoutMs / 4)));
    if (this.#timer !== null && periodMs >= this.#periodMs) return;
    if (this.#timer !== null) clearInterval(this.#timer);
    this.#periodMs = periodMs;
    this.#timer = setInterval(() => this.#sweep(), periodMs);
    this.#timer.unref();
  }

  /** No longer calls `target.sweep`. */
  forget(target: Swept): void {
    this.#watched.delete(target);
    if (this.#watched.size > 0 || this.#timer === null) return;
    clearInterval(this.#timer);
    this.#timer = null;
    this.#periodMs = MAX_PERIOD_MS;
  }

  #sweep(): void {
    const nowMs = this.#nowMs();
    for (const target of this.#watched) target.sweep(nowMs);
  }
}
