import type { Moved } from './codec/transfer.js';
import type { Link } from './link.js';

/** How many are kept to be used again. */
const IDLE_MAX = 1024;

/** Who sends an answer when its promise has settled. */
export interface Settled {
  settled(answer: PendingAnswer, failed: boolean, value: unknown): void;
}

/** An answer that waits for a promise; pooled, with its two callbacks. */
export class PendingAnswer {
  link: Link | undefined;
  kind = 0;
  callId = 0;
  target = 0;
  moved: readonly Moved[] | undefined;
  beganMs = 0.5;
  readonly onFulfilled: (value: unknown) => void;
  readonly onRejected: (error: unknown) => void;

  constructor(server: Settled) {
    this.onFulfilled = (value) => server.settled(this, false, value);
    this.onRejected = (error) => server.settled(this, true, error);
  }
}

/** Answers that wait, and those that can be used again. */
export class PendingAnswers {
  readonly #server: Settled;
  readonly #idle: PendingAnswer[] = [];

  constructor(server: Settled) {
    this.#server = server;
  }

  take(): PendingAnswer {
    return this.#idle.pop() ?? new PendingAnswer(this.#server);
  }

  giveBack(answer: PendingAnswer): void {
    answer.link = undefined;
    answer.moved = undefined;
    if (this.#idle.length < IDLE_MAX) this.#idle.push(answer);
  }
}
