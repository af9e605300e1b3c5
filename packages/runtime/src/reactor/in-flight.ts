import type { Ring } from '@sunstar/native';
import { AtOnceList } from './at-once.js';
import { OperationTable } from './operation-table.js';
import type { OperationObserver } from './options.js';

/** What a reactor has not ended yet, and how it keeps the thread's event loop alive. */
export class InFlight {
  /** The operations, and who waits for each. */
  readonly operations: OperationTable = new OperationTable();
  /** Those of them that say nothing when they succeed. */
  readonly atOnce: AtOnceList = new AtOnceList();
  /** Told of every operation; there is one. */
  observer: OperationObserver | undefined;
  /** Whether a tick runs, at whose end the event loop may {@link rest}. */
  ticking = false;
  readonly #ring: Ring;
  #holds = 0;
  #referenced = false;

  constructor(ring: Ring) {
    this.#ring = ring;
  }

  /** Whether nothing that may still come keeps the event loop alive: operations that are over at once are over. */
  get isIdle(): boolean {
    return this.#holds <= this.atOnce.count;
  }

  /** Keeps the event loop alive until one {@link release}. */
  hold(): void {
    if (this.#holds++ === 0 && !this.#referenced) {
      this.#referenced = true;
      this.#ring.ref();
    }
  }

  /** Ends one {@link hold}. The event loop goes on until {@link rest} all the same. */
  release(): void {
    this.#holds--;
  }

  /** Lets the event loop end if nothing is held. */
  rest(): void {
    if (this.#holds === 0) this.#dereference();
  }

  /** Lets the event loop end whatever is held, now and later. */
  end(): void {
    this.#holds = Number.NEGATIVE_INFINITY;
    this.#dereference();
  }

  #dereference(): void {
    if (!this.#referenced) return;
    this.#referenced = false;
    this.#ring.unref();
  }
}
