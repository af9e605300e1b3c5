import { type Completion, IORING_OP, type Reactor } from '@sunstar/runtime';

/** How many operations one measurement makes. */
export const OPERATIONS = 2_048;

/** Keeps `width` no-ops in flight, in the shape that users of the ring write: one object, no closures. */
export class NopBatches implements Completion {
  readonly #reactor: Reactor;
  readonly #width: number;
  #left = 0;
  #batchesLeft = 0;
  #resolve: () => void = () => {};

  constructor(reactor: Reactor, width: number) {
    this.#reactor = reactor;
    this.#width = width;
  }

  run(): Promise<void> {
    return new Promise((resolve) => {
      this.#resolve = resolve;
      this.#batchesLeft = OPERATIONS / this.#width;
      this.#startBatch();
    });
  }

  complete(): void {
    if (--this.#left > 0) return;
    if (--this.#batchesLeft === 0) this.#resolve();
    else this.#startBatch();
  }

  #startBatch(): void {
    this.#left = this.#width;
    for (let i = 0; i < this.#width; i++) this.#reactor.submit(this, IORING_OP.NOP, -1, 0, 0, 0);
  }
}

/** Makes one operation after the other. */
export async function oneByOne(operation: () => Promise<unknown>): Promise<void> {
  for (let i = 0; i < OPERATIONS; i++) await operation();
}
