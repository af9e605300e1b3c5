import { SunstarError } from '../errors.js';
import { inRange } from './options.js';

/** What to do with a call that a group has no room for. */
export type OnFull = 'wait' | 'fail';

/** Options of a {@link ServiceGroup}. */
export interface ServiceGroupOptions {
  /** For errors and metrics; 1 to 64 characters. */
  readonly name: string;
  /** Calls to each other shard that may wait for an answer, 1 to 262,144. @default 1,024 */
  readonly maxOutstanding?: number;
  /** `'wait'`: until there is room, in the order of the calls. `'fail'`: rejects at once. @default 'wait' */
  readonly onFull?: OnFull;
  /** Calls to each other shard that may wait for room, 0 to 1,048,576; one more rejects. @default 16,384 */
  readonly maxWaiting?: number;
}

/** Counters of a {@link ServiceGroup}: of one shard pair, or the sums over all. */
export interface ServiceGroupStats {
  /** Calls that were sent and wait for an answer. */
  readonly outstanding: number;
  /** Calls that wait for room. */
  readonly waiting: number;
  /** Calls that had to wait for room, ever. */
  readonly waited: number;
  /** Calls that were refused, ever. */
  readonly refused: number;
}

/** A call that may have to wait for room; a link of the list it waits in. For {@link ServiceGroup} only. */
export interface Waiter {
  previousWaiting: Waiter | undefined;
  nextWaiting: Waiter | undefined;
  /** There is room: sends the call. Must not throw. */
  start(): void;
}

/**
 * Bounds the calls of this shard to each other shard that wait for an answer, so that one kind of work cannot
 * take all the memory and attention of the shard that it asks, and leaves room for other kinds. Make one on each
 * shard and give it to services or to single calls; groups are independent of each other.
 *
 * After Seastar's `smp_service_group`, which has no way to fail instead of waiting.
 */
export class ServiceGroup {
  readonly name: string;
  readonly maxOutstanding: number;
  readonly onFull: OnFull;
  readonly maxWaiting: number;
  readonly #lanes: Lane[] = [];

  /** @throws SunstarError `SUNSTAR_INVALID_OPTION` */
  constructor(options: ServiceGroupOptions) {
    const { name, onFull = 'wait' } = options;
    if (typeof name !== 'string' || name === '' || name.length > 64) {
      throw invalid('The name of a service group has 1 to 64 characters.');
    }
    if (onFull !== 'wait' && onFull !== 'fail') throw invalid("Option onFull is 'wait' or 'fail'.");
    this.name = name;
    this.onFull = onFull;
    this.maxOutstanding = inRange('maxOutstanding', options.maxOutstanding ?? 1024, 1, 262_144);
    this.maxWaiting = inRange('maxWaiting', options.maxWaiting ?? 16_384, 0, 1_048_576);
  }

  /** A snapshot of the counters, of calls to one shard or to all. */
  stats(shardId?: number): ServiceGroupStats {
    const lanes = this.#lanes.filter((_, peerId) => shardId === undefined || peerId === shardId);
    const sum = (count: (lane: Lane) => number): number =>
      lanes.reduce((total, lane) => total + count(lane), 0);
    return {
      outstanding: sum((lane) => lane.outstanding),
      waiting: sum((lane) => lane.waiting),
      waited: sum((lane) => lane.waited),
      refused: sum((lane) => lane.refused),
    };
  }

  /**
   * A call asks for room; it runs now, or when there is room. For the caller only.
   * @internal
   */
  enter(shardId: number, call: Waiter): void {
    const lane = this.#lane(shardId);
    if (lane.waiting === 0 && lane.outstanding < this.maxOutstanding) {
      lane.outstanding++;
      call.start();
      return;
    }
    if (this.onFull === 'fail' || lane.waiting >= this.maxWaiting) {
      lane.refused++;
      throw this.#full(shardId, lane);
    }
    lane.waited++;
    lane.push(call);
  }

  /**
   * A call that waits for room gives up. For the caller only.
   * @internal
   */
  leave(shardId: number, call: Waiter): void {
    this.#lane(shardId).remove(call);
  }

  /**
   * A call that ran is over. For the caller only.
   * @internal
   */
  done(shardId: number): void {
    const lane = this.#lane(shardId);
    lane.outstanding--;
    if (lane.starting) return;
    lane.starting = true;
    // One that cannot be sent is done at once, and makes room for the next.
    while (lane.first !== undefined && lane.outstanding < this.maxOutstanding) {
      const call = lane.first;
      lane.remove(call);
      lane.outstanding++;
      call.start();
    }
    lane.starting = false;
  }

  /** Throws when the state contradicts itself. For tests. */
  invariants(): void {
    for (const lane of this.#lanes) {
      let count = 0;
      for (let call = lane.first; call !== undefined; call = call.nextWaiting) count++;
      const ok =
        count === lane.waiting &&
        lane.outstanding >= 0 &&
        lane.outstanding <= this.maxOutstanding &&
        lane.waiting <= this.maxWaiting &&
        (lane.waiting === 0 || lane.outstanding === this.maxOutstanding);
      if (ok) continue;
      throw new SunstarError('SUNSTAR_BROKEN_INVARIANT', `Service group '${this.name}' is inconsistent.`);
    }
  }

  #lane(shardId: number): Lane {
    while (this.#lanes.length <= shardId) this.#lanes.push(new Lane());
    return this.#lanes[shardId];
  }

  #full(shardId: number, lane: Lane): SunstarError {
    const waiting = this.onFull === 'wait' ? `, and ${lane.waiting} wait for room` : '';
    return new SunstarError(
      'SUNSTAR_SERVICE_GROUP_FULL',
      `${lane.outstanding} calls of service group '${this.name}' to shard ${shardId} wait for an answer${waiting}. ` +
        'Try again later, ask for less at once, or make the group larger.',
    );
  }
}

/** The calls to one shard: a count, and a list of those that wait. */
class Lane {
  outstanding = 0;
  waiting = 0;
  waited = 0;
  refused = 0;
  starting = false;
  first: Waiter | undefined;
  #last: Waiter | undefined;

  push(call: Waiter): void {
    this.waiting++;
    call.previousWaiting = this.#last;
    call.nextWaiting = undefined;
    if (this.#last === undefined) this.first = call;
    else this.#last.nextWaiting = call;
    this.#last = call;
  }

  remove(call: Waiter): void {
    this.waiting--;
    if (call.previousWaiting === undefined) this.first = call.nextWaiting;
    else call.previousWaiting.nextWaiting = call.nextWaiting;
    if (call.nextWaiting === undefined) this.#last = call.previousWaiting;
    else call.nextWaiting.previousWaiting = call.previousWaiting;
    call.previousWaiting = undefined;
    call.nextWaiting = undefined;
  }
}

function invalid(message: string): SunstarError {
  return new SunstarError('SUNSTAR_INVALID_OPTION', message);
}
