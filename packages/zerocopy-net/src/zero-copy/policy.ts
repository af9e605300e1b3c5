import type { CopyReason } from './reasons.js';

/** So many notifications in a row that say "copied" mean that it is no coincidence. */
const COPIES_IN_A_ROW = 8;
/** How much is sent with copies before zero copy is tried again; doubles each time that it did not help. */
const FIRST_PAUSE_BYTES = 1_048_576;
const LAST_PAUSE_BYTES = 268_435_456;

/**
 * Decides for one connection whether zero-copy sends are worth trying just now. Two things make it pause:
 *
 * - the kernel keeps copying (the device cannot scatter, or somebody watches the packets). Only what `MSG_ZEROCOPY`
 *   reports counts: with `SEND_ZC` the report is wrong when two sends share a packet;
 * - the kernel had no buffers (`ENOBUFS`): until half of what was in flight then has been notified, or, with nothing
 *   in flight, for some output, since no notification would ever end the wait.
 */
export class ZeroCopyPolicy {
  readonly #isForced: boolean;
  #copiesInARow = 0;
  #nextPauseBytes = FIRST_PAUSE_BYTES;
  #pauseBytes = 0;
  #pauseReason: CopyReason = 'kernelCopies';
  #resumeInFlight = -1;
  /** The next send is the one that was refused: it is copied in any case, or it might never leave. */
  #mustCopy = false;

  /** @param isForced - Sends are tried even though the kernel copies. */
  constructor(isForced: boolean) {
    this.#isForced = isForced;
  }

  /** Why a send of so many bytes should be copied; null: it should not. */
  decide(sizeBytes: number, inFlight: number): CopyReason | null {
    if (this.#mustCopy) {
      this.#mustCopy = false;
      return 'noBuffers';
    }
    if (this.#resumeInFlight >= 0) {
      if (inFlight > this.#resumeInFlight) return 'noBuffers';
      this.#resumeInFlight = -1;
    }
    if (this.#pauseBytes > 0) {
      this.#pauseBytes -= sizeBytes;
      return this.#pauseReason;
    }
    return null;
  }

  /** Notifications of `MSG_ZEROCOPY`, for `count` sends, told whether the kernel copied. */
  notified(isCopied: boolean, count = 1): void {
    if (!isCopied) {
      this.#copiesInARow = 0;
      this.#nextPauseBytes = FIRST_PAUSE_BYTES;
      return;
    }
    this.#copiesInARow += count;
    if (this.#isForced || this.#copiesInARow < COPIES_IN_A_ROW) return;
    // One more is enough next time.
    this.#copiesInARow = COPIES_IN_A_ROW - 1;
    this.#pause('kernelCopies');
  }

  /** The kernel refused a send for want of buffers, with so many others of this connection in flight. */
  outOfBuffers(inFlight: number): void {
    this.#mustCopy = true;
    if (inFlight > 0) this.#resumeInFlight = inFlight >>> 1;
    else this.#pause('noBuffers');
  }

  #pause(reason: CopyReason): void {
    if (this.#pauseBytes > 0) return;
    this.#pauseReason = reason;
    this.#pauseBytes = this.#nextPauseBytes;
    this.#nextPauseBytes = Math.min(this.#nextPauseBytes * 2, LAST_PAUSE_BYTES);
  }
}
