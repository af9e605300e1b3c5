import { type Completion, type Reactor, swapGroup } from '@sunstar/runtime';
import type { Transport } from './transport.js';

/** The transports of one scheduling group that asked for a deferred step; it is done in that group's turn. */
export class DueList implements Completion {
  readonly #reactor: Pick<Reactor, 'defer'>;
  readonly #groupId: number;
  /** Two lists that change places, never shrunk. */
  #due: (Transport | null)[] = [];
  #running: (Transport | null)[] = [];
  #count = 0;

  constructor(reactor: Pick<Reactor, 'defer'>, groupId: number) {
    this.#reactor = reactor;
    this.#groupId = groupId;
  }

  /** Has `transport.runDeferred()` called at the end of this tick, or in the next. */
  add(transport: Transport): void {
    if (this.#count === 0) this.#defer();
    this.#due[this.#count++] = transport;
  }

  /** The deferred step; what is enqueued meanwhile waits for the next one. */
  complete(): void {
    const running = this.#due;
    const count = this.#count;
    this.#due = this.#running;
    this.#running = running;
    this.#count = 0;
    for (let i = 0; i < count; i++) {
      const transport = running[i];
      running[i] = null;
      transport?.runDeferred();
    }
  }

  #defer(): void {
    const before = swapGroup(this.#groupId);
    try {
      this.#reactor.defer(this);
    } finally {
      swapGroup(before);
    }
  }
}
