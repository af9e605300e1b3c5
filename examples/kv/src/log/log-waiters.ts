import type { Reactor } from '@sunstar/runtime';

/** Someone whose replies wait for the device. */
export interface DurabilityWaiter {
  /** Everything up to `position` is durable. Returns whether it waits for more. */
  durable(position: number): boolean;
  /** The log has failed: what is not durable yet may never be. It does not wait any more. */
  durabilityFailed(): void;
}

/** Someone who writes again when the log has caught up. */
export interface RoomWaiter {
  logHasRoom(): void;
}

/** Everyone who waits for a log. */
export class LogWaiters {
  readonly #reactor: Pick<Reactor, 'defer'>;
  #forDurability: DurabilityWaiter[] = [];
  #forRoom: RoomWaiter[] = [];
  #isNotifying = false;
  #hasFailed = false;

  constructor(reactor: Pick<Reactor, 'defer'>) {
    this.#reactor = reactor;
  }

  addForDurability(waiter: DurabilityWaiter): void {
    this.#forDurability.push(waiter);
  }

  addForRoom(waiter: RoomWaiter): void {
    this.#forRoom.push(waiter);
  }

  /** Tells how far the log is durable. Called where no command is being executed. */
  durable(position: number): void {
    const waiters = this.#forDurability;
    let kept = 0;
    // Those that are added meanwhile come behind these, and are asked too.
    for (let i = 0; i < waiters.length; i++) {
      const waiter = waiters[i];
      if (waiter.durable(position)) waiters[kept++] = waiter;
    }
    waiters.length = kept;
  }

  /** The log takes records again: who waits for room goes on, though not in the middle of a command. */
  hasRoom(): void {
    this.#notifyLater();
  }

  /** Nothing that is not durable yet is certain to become so: nobody waits any more. */
  failed(): void {
    this.#hasFailed = true;
    this.#notifyLater();
  }

  #notifyLater(): void {
    if (this.#isNotifying) return;
    this.#isNotifying = true;
    this.#reactor.defer({ complete: () => this.#notify() });
  }

  #notify(): void {
    this.#isNotifying = false;
    if (this.#hasFailed) {
      this.#hasFailed = false;
      const waiters = this.#forDurability;
      this.#forDurability = [];
      for (const waiter of waiters) waiter.durabilityFailed();
    }
    const waiters = this.#forRoom;
    this.#forRoom = [];
    for (const waiter of waiters) waiter.logHasRoom();
  }
}
