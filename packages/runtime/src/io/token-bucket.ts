/**
 * Lets at most so many bytes a second pass, with a burst. Over any time `t` at most `burstBytes + t · rate` bytes
 * pass; with requests larger than the burst, the largest request counts instead of it: such a request passes when
 * the bucket is full, and leaves a debt.
 */
export class TokenBucket {
  #bytesPerSecond: number;
  #burstBytes: number;
  #tokens: number;
  #refilledMs: number;

  constructor(bytesPerSecond: number, burstBytes: number, nowMs: number) {
    this.#bytesPerSecond = bytesPerSecond;
    this.#burstBytes = burstBytes;
    this.#tokens = burstBytes;
    this.#refilledMs = nowMs;
  }

  get bytesPerSecond(): number {
    return this.#bytesPerSecond;
  }

  /** Changes the rate from now on; a debt stays. */
  configure(bytesPerSecond: number, burstBytes: number, nowMs: number): void {
    this.#refill(nowMs);
    this.#bytesPerSecond = bytesPerSecond;
    this.#burstBytes = burstBytes;
    this.#tokens = Math.min(this.#tokens, burstBytes);
  }

  /** How long until so many bytes may pass; 0 when they may now. */
  waitMs(sizeBytes: number, nowMs: number): number {
    this.#refill(nowMs);
    const missing = Math.min(sizeBytes, this.#burstBytes) - this.#tokens;
    return missing <= 0 ? 0 : (missing / this.#bytesPerSecond) * 1000;
  }

  /** Lets bytes pass for which {@link waitMs} is 0. */
  take(sizeBytes: number): void {
    this.#tokens -= sizeBytes;
  }

  #refill(nowMs: number): void {
    // A clock that seems to go back, because it is coarse, gives nothing.
    if (nowMs <= this.#refilledMs) return;
    const earned = ((nowMs - this.#refilledMs) / 1000) * this.#bytesPerSecond;
    this.#tokens = Math.min(this.#burstBytes, this.#tokens + earned);
    this.#refilledMs = nowMs;
  }
}
