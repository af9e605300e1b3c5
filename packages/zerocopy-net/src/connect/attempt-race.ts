/** One try at one address. */
export interface Attempt<T> {
  /** Settles in any case, also after {@link cancel}. */
  readonly result: Promise<T>;
  /** Gives up; a result that comes all the same is discarded. */
  cancel(): void;
}

/**
 * Tries several addresses: the next one when the last has failed, or has not answered for `delayMs`. The first that
 * succeeds wins, the others are cancelled. ("Happy Eyeballs", RFC 8305, without its sorting by past experience.)
 */
export class AttemptRace<A, T> {
  readonly #start: (address: A) => Attempt<T>;
  readonly #discard: (late: T) => void;
  readonly #delayMs: number;
  readonly #running = new Set<Attempt<T>>();
  #waiting: readonly A[];
  #timer: NodeJS.Timeout | null = null;
  #isOver = false;
  #failure: unknown;
  #resolve: (winner: T) => void = () => {};
  #reject: (error: unknown) => void = () => {};

  /**
   * @param addresses - In the order in which to try them; at least one.
   * @param discard - Takes what succeeded after the race was over.
   */
  constructor(
    addresses: readonly A[],
    start: (address: A) => Attempt<T>,
    delayMs: number,
    discard: (late: T) => void,
  ) {
    this.#waiting = addresses;
    this.#start = start;
    this.#delayMs = delayMs;
    this.#discard = discard;
  }

  /** The winner; or the failure of the attempt that failed last. Resolves when every attempt has ended. */
  async run(): Promise<T> {
    const outcome = new Promise<T>((resolve, reject) => {
      this.#resolve = resolve;
      this.#reject = reject;
    });
    this.#next();
    try {
      return await outcome;
    } finally {
      this.#end();
      await Promise.allSettled([...this.#running].map((attempt) => attempt.result));
    }
  }

  /** Ends the race; {@link run} rejects with this. */
  abort(error: unknown): void {
    this.#reject(error);
  }

  #end(): void {
    this.#isOver = true;
    if (this.#timer !== null) clearTimeout(this.#timer);
    for (const attempt of this.#running) attempt.cancel();
  }

  #next(): void {
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = null;
    const [address] = this.#waiting;
    this.#waiting = this.#waiting.slice(1);
    if (address === undefined) {
      if (this.#running.size === 0) this.#reject(this.#failure);
      return;
    }
    if (this.#waiting.length > 0) this.#timer = setTimeout(() => this.#next(), this.#delayMs);
    let attempt: Attempt<T>;
    try {
      attempt = this.#start(address);
    } catch (error) {
      this.#failure = error;
      this.#next();
      return;
    }
    this.#running.add(attempt);
    attempt.result.then(
      (winner) => {
        this.#running.delete(attempt);
        if (this.#isOver) {
          this.#discard(winner);
          return;
        }
        this.#end();
        this.#resolve(winner);
      },
      (error: unknown) => {
        this.#running.delete(attempt);
        if (this.#isOver) return;
        this.#failure = error;
        this.#next();
      },
    );
  }
}

/** Addresses in turns of their families, beginning with that of the first; within a family in their order. */
export function interleave(addresses: readonly string[]): string[] {
  const isV6 = (address: string): boolean => address.includes(':');
  const first = addresses.filter((address) => isV6(address) === isV6(addresses[0]));
  const second = addresses.filter((address) => isV6(address) !== isV6(addresses[0]));
  const mixed: string[] = [];
  for (let i = 0; i < Math.max(first.length, second.length); i++) {
    if (i < first.length) mixed.push(first[i]);
    if (i < second.length) mixed.push(second[i]);
  }
  return mixed;
}
