/**
 * Calls back when nothing was touched for a while. Made for limits that are set and lifted with every request:
 * that is a look at the clock, and Node's timer is set anew only when it has fired too early.
 */
export class InactivityTimer {
  readonly #onTimeout: () => void;
  #timer: NodeJS.Timeout | undefined;
  #firesAtMs = 0;
  #limitMs = 0;
  #sinceMs = 0;

  constructor(onTimeout: () => void) {
    this.#onTimeout = onTimeout;
  }

  /** How long nothing may happen, in milliseconds, counted from when it is set; 0 is for ever. */
  get limitMs(): number {
    return this.#limitMs;
  }

  set limitMs(value: number) {
    this.#limitMs = value;
    this.touch();
  }

  /** Something happened: counts anew. */
  touch(): void {
    if (this.#limitMs === 0) return;
    this.#sinceMs = performance.now();
    const dueMs = this.#sinceMs + this.#limitMs;
    if (this.#timer === undefined || dueMs < this.#firesAtMs) this.#arm(dueMs);
  }

  #arm(dueMs: number): void {
    clearTimeout(this.#timer);
    this.#firesAtMs = dueMs;
    this.#timer = setTimeout(() => this.#fire(), dueMs - performance.now()).unref();
  }

  #fire(): void {
    this.#timer = undefined;
    if (this.#limitMs === 0) return;
    const dueMs = this.#sinceMs + this.#limitMs;
    // A timer of Node's may be up to a millisecond early.
    if (performance.now() < dueMs - 1) this.#arm(dueMs);
    else this.#onTimeout();
  }
}
