/** Counters of one scheduling group: see `Mesh.statsOf`. */
export interface MeshGroupStats {
  /** Calls and one-way messages that it has sent to other shards. */
  readonly sent: number;
  /** Calls and one-way messages of other shards that were run here for it. */
  readonly served: number;
  /** Calls for whose answer it waits. */
  readonly outstanding: number;
}

/** Counters of the calls between this shard and the others: see `Mesh.stats`. */
export interface MeshStats {
  /** Calls and one-way messages sent to other shards. */
  readonly sent: number;
  /** Calls and one-way messages of other shards run here. */
  readonly served: number;
  /** Calls that wait for an answer. */
  readonly outstanding: number;
  /** Messages that found their ring full and waited. */
  readonly overflowed: number;
  /** Messages that wait for room in their ring. */
  readonly queued: number;
  /** Times that this shard woke another. */
  readonly wakeUps: number;
  /** Arena blocks and values of this shard that others have not given back. */
  readonly blocksAway: number;
  /** Values of other shards that this one may still hear of: streams, signals, calls with options. */
  readonly held: number;
  /** Calls that were given up and whose late answer has not come yet. */
  readonly givenUp: number;
}
