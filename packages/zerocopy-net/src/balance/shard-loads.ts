/** What a shard tells of itself. */
export interface KnownLoad {
  /** Share of the time in which it has something to do; NaN when it is not known. */
  readonly utilisation: number;
  /** Connections that are open there. */
  readonly connections: number;
}

/** How long an answer of {@link ShardLoads} may use the same figures. */
const FRESH_MS = 5;
/** What a shard without anything to do counts as: so that among those the number of connections decides. */
const IDLE = 0.1;
const UNKNOWN_UTILISATION = 0.5;

/**
 * Chooses the shard with the least load: connections, times how busy the shard is. The number alone would give as many
 * to a shard whose connections do all the work; the busyness alone, which is some milliseconds old, would send a whole
 * burst to the same shard. Connections that were given to a shard since its figures were read are counted in.
 */
export class ShardLoads {
  readonly #look: (shardId: number) => KnownLoad | undefined;
  readonly #readMs: Float64Array;
  readonly #utilisation: Float64Array;
  readonly #connections: Float64Array;
  /** Given to the shard since then. */
  readonly #given: Float64Array;

  /** @param look - What is known of a shard now; undefined of one that is gone. */
  constructor(shardCount: number, look: (shardId: number) => KnownLoad | undefined) {
    this.#look = look;
    this.#readMs = new Float64Array(shardCount).fill(Number.NEGATIVE_INFINITY);
    this.#utilisation = new Float64Array(shardCount);
    this.#connections = new Float64Array(shardCount);
    this.#given = new Float64Array(shardCount);
  }

  /** The best of the candidates; of equal ones the first. −1 when all are gone, or there are none. */
  pick(candidates: Iterable<number>, nowMs: number): number {
    let best = -1;
    let bestCost = Number.POSITIVE_INFINITY;
    for (const shardId of candidates) {
      const cost = this.#cost(shardId, nowMs);
      if (cost >= bestCost) continue;
      best = shardId;
      bestCost = cost;
    }
    return best;
  }

  /** A connection is on its way to a shard. */
  give(shardId: number): void {
    this.#given[shardId]++;
  }

  #cost(shardId: number, nowMs: number): number {
    if (nowMs - this.#readMs[shardId] >= FRESH_MS) {
      const load = this.#look(shardId);
      if (load === undefined) return Number.POSITIVE_INFINITY;
      this.#readMs[shardId] = nowMs;
      this.#given[shardId] = 0;
      this.#connections[shardId] = load.connections;
      this.#utilisation[shardId] = Number.isNaN(load.utilisation) ? UNKNOWN_UTILISATION : load.utilisation;
    }
    return (this.#connections[shardId] + this.#given[shardId] + 1) * (IDLE + this.#utilisation[shardId]);
  }
}
