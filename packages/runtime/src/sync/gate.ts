import { SunstarError } from '../errors.js';
import { currentGroupId } from '../scheduling/current-group.js';
import { callIn, inThisGroup } from '../scheduling/thread-scheduler.js';
import { invariant, misuse } from './errors.js';
import { READY } from './ready.js';

/** One entry into a {@link Gate}; leaves once, when it is disposed. */
export class GateHolder implements Disposable {
  #gate: Gate | undefined;

  /** @internal */
  constructor(gate: Gate) {
    this.#gate = gate;
  }

  [Symbol.dispose](): void {
    const gate = this.#gate;
    this.#gate = undefined;
    gate?.leave();
  }
}

/**
 * Counts work in progress, so that a service can stop when it is done: after {@link close} nothing enters any more,
 * and the promise resolves when everything that was inside has left. After Seastar's `gate`.
 */
export class Gate implements AsyncDisposable {
  readonly #name: string | undefined;
  #count = 0;
  #isClosed = false;
  #closed: Promise<void> | undefined;
  #resolveClosed: (() => void) | undefined;
  /** The scheduling group that waits for the end. */
  #closerId = 0;

  /** @param name - What errors call it. */
  constructor(name?: string) {
    this.#name = name;
  }

  /** How many are inside. */
  get count(): number {
    return this.#count;
  }

  get isClosed(): boolean {
    return this.#isClosed;
  }

  /** @throws SunstarError `SUNSTAR_GATE_CLOSED` */
  enter(): void {
    if (this.#isClosed) throw this.#closedError();
    this.#count++;
  }

  /** {@link enter}, unless the gate is closed. */
  tryEnter(): boolean {
    if (this.#isClosed) return false;
    this.#count++;
    return true;
  }

  /** @throws SunstarError `SUNSTAR_SYNC_MISUSE` when nobody is inside. */
  leave(): void {
    if (this.#count === 0) throw misuse('leave() without enter(): nobody is in the gate.');
    this.#count--;
    if (this.#count === 0 && this.#resolveClosed !== undefined) callIn(this.#closerId, this.#resolveClosed);
  }

  /**
   * {@link enter} for `using`.
   *
   * @throws SunstarError `SUNSTAR_GATE_CLOSED`
   */
  hold(): GateHolder {
    this.enter();
    return new GateHolder(this);
  }

  /** Runs a function inside; rejects with `SUNSTAR_GATE_CLOSED` when the gate is closed. */
  async run<R>(work: () => R | PromiseLike<R>): Promise<R> {
    this.enter();
    try {
      return await work();
    } finally {
      this.leave();
    }
  }

  /** Lets nobody in any more; resolves when everybody has left. May be called again. */
  close(): Promise<void> {
    this.#isClosed = true;
    this.#closed ??=
      this.#count === 0
        ? READY
        : new Promise((resolve) => {
            this.#resolveClosed = resolve;
            this.#closerId = currentGroupId();
          });
    return this.#count === 0 || this.#closerId === currentGroupId()
      ? this.#closed
      : inThisGroup(this.#closed);
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  /** Throws when the state contradicts itself. For tests. */
  invariants(): void {
    invariant(this.#count >= 0, 'nobody leaves twice');
    invariant(this.#isClosed === (this.#closed !== undefined), 'a closed gate has a promise');
  }

  #closedError(): SunstarError {
    const name = this.#name === undefined ? 'The gate' : `The gate "${this.#name}"`;
    return new SunstarError(
      'SUNSTAR_GATE_CLOSED',
      `${name} is closed: what it guards is stopping. Start no new work on it.`,
    );
  }
}
