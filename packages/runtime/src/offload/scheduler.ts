import { SunstarError } from '../errors.js';
import type { OffloadLimit } from './options.js';

interface Line<T> {
  readonly limit: Required<OffloadLimit>;
  readonly waiting: Set<T>;
  running: number;
}

/**
 * Which offloaded call runs next. Calls of one limit start in order, at most `concurrency` at a time; limits take
 * turns, so that a long queue of one does not hold up the others.
 */
export class OffloadScheduler<T extends { readonly limit: string }> {
  readonly #lines = new Map<string, Line<T>>();
  readonly #order: Line<T>[] = [];
  readonly #threads: number;
  readonly #running = new Set<T>();
  #next = 0;

  constructor(threads: number, limits: ReadonlyMap<string, Required<OffloadLimit>>) {
    this.#threads = threads;
    for (const [name, limit] of limits) {
      const line = { limit, waiting: new Set<T>(), running: 0 };
      this.#lines.set(name, line);
      this.#order.push(line);
    }
  }

  /** How many calls run. */
  get running(): number {
    return this.#running.size;
  }

  /** How many calls wait. */
  get waiting(): number {
    return this.#order.reduce((sum, line) => sum + line.waiting.size, 0);
  }

  /**
   * Adds a call that waits.
   *
   * @throws SunstarError SUNSTAR_OFFLOAD_OVERLOADED, SUNSTAR_UNKNOWN_OFFLOAD_LIMIT
   */
  add(call: T): void {
    const line = this.#line(call);
    const { concurrency, maxQueued } = line.limit;
    const startsAtOnce =
      line.waiting.size === 0 && line.running < concurrency && this.#running.size < this.#threads;
    if (!startsAtOnce && line.waiting.size >= maxQueued) {
      throw new SunstarError(
        'SUNSTAR_OFFLOAD_OVERLOADED',
        `${line.waiting.size} calls wait for the offload limit '${call.limit}' already. Offload less at a time, or raise ` +
          `\`offload.limits.${call.limit}.maxQueued\` of the runtime.`,
      );
    }
    line.waiting.add(call);
  }

  /** The call that is to start now, from then on running; undefined when none can. */
  start(): T | undefined {
    if (this.#running.size >= this.#threads) return undefined;
    for (let turn = 0; turn < this.#order.length; turn++) {
      const line = this.#order[this.#next];
      this.#next = (this.#next + 1) % this.#order.length;
      if (line.running >= line.limit.concurrency) continue;
      for (const call of line.waiting) {
        line.waiting.delete(call);
        line.running++;
        this.#running.add(call);
        return call;
      }
    }
    return undefined;
  }

  /** A call that runs has ended, thread and all. */
  end(call: T): void {
    if (this.#running.delete(call)) this.#line(call).running--;
  }

  /** Takes a call out that waits. @returns False when it does not wait (any more). */
  remove(call: T): boolean {
    return this.#line(call).waiting.delete(call);
  }

  invariants(): void {
    let running = 0;
    for (const line of this.#order) {
      running += line.running;
      const ok =
        line.running >= 0 &&
        line.running <= line.limit.concurrency &&
        line.waiting.size <= Math.max(1, line.limit.maxQueued);
      if (!ok) throw new SunstarError('SUNSTAR_BROKEN_INVARIANT', 'An offload limit lost count.');
    }
    if (running !== this.#running.size || running > this.#threads) {
      throw new SunstarError('SUNSTAR_BROKEN_INVARIANT', 'The offload scheduler lost count of its threads.');
    }
  }

  #line(call: T): Line<T> {
    const line = this.#lines.get(call.limit);
    if (line !== undefined) return line;
    throw new SunstarError(
      'SUNSTAR_UNKNOWN_OFFLOAD_LIMIT',
      `There is no offload limit '${call.limit}'. Name it in the runtime's option \`offload.limits\`: [${[...this.#lines.keys()].join(', ')}] are known.`,
    );
  }
}
