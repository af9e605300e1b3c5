import { type Completion, IORING_CQE_F } from '@sunstar/runtime';
import type { ZeroCopySide } from './zero-copy-side.js';

/** `IORING_NOTIF_USAGE_ZC_COPIED`: bit 31 of a notification's result. */
const COPIED = -2147483648;

/**
 * One zero-copy send on the ring: its completion, and, if that announces one, its notification. Recycled by
 * {@link ZeroCopySends}.
 */
export class ZeroCopySend implements Completion {
  readonly #sends: ZeroCopySends;
  side: ZeroCopySide | null = null;
  sequence = 0;

  constructor(sends: ZeroCopySends) {
    this.#sends = sends;
  }

  complete(result: number, flags: number): void {
    const { side, sequence } = this;
    const isNotification = (flags & IORING_CQE_F.NOTIF) !== 0;
    const more = (flags & IORING_CQE_F.MORE) !== 0;
    if (!more) {
      this.side = null;
      this.#sends.giveBack(this);
    }
    if (isNotification) side?.notified(sequence, (result & COPIED) !== 0);
    else side?.sent(result, more);
  }
}

/** Idle sends that are kept; more are left to the garbage collector. */
const KEPT_SENDS = 256;

/** The pool of a shard's {@link ZeroCopySend}s. */
export class ZeroCopySends {
  readonly #idle: ZeroCopySend[] = [];

  take(side: ZeroCopySide): ZeroCopySend {
    const send = this.#idle.pop() ?? new ZeroCopySend(this);
    send.side = side;
    return send;
  }

  giveBack(send: ZeroCopySend): void {
    if (this.#idle.length < KEPT_SENDS) this.#idle.push(send);
  }
}
