import type { Arena } from '../memory/index.js';
import type { Clock } from '../sync/index.js';
import type { Directory, LocalService } from './directory.js';
import type { Link } from './link.js';
import type { ShardLoad } from './load-table.js';
import type { OwnLoad } from './own-load.js';

/** What is known of services on all shards, without asking any: what came with answers, and this shard's own state. */
export class KnownLoad {
  readonly #links: readonly (Link | undefined)[];
  readonly #arenas: readonly Arena[];
  readonly #ownArena: Arena;
  readonly #own: OwnLoad;
  readonly #directory: Directory;
  readonly #clock: Clock;

  /**
   * @param links - By shard number, undefined at this shard's own; may change, like the arenas.
   * @param ownArena - This shard's.
   */
  constructor(
    links: readonly (Link | undefined)[],
    arenas: readonly Arena[],
    ownArena: Arena,
    own: OwnLoad,
    directory: Directory,
    clock: Clock,
  ) {
    this.#links = links;
    this.#arenas = arenas;
    this.#ownArena = ownArena;
    this.#own = own;
    this.#directory = directory;
    this.#clock = clock;
  }

  /** What is known of a service on a shard; undefined when it has not answered this one yet, or has stopped. */
  of(shardId: number, service: LocalService): ShardLoad | undefined {
    const link = this.#links[shardId];
    return link === undefined ? this.#ofOwn(service) : this.#ofPeer(link, service);
  }

  /**
   * How long a call will probably wait for its answer, in microseconds, or just a number of calls where no time is
   * known: from when the shard last told of itself, how long its answers take, and how many calls wait or run there,
   * together with those of this shard that it may not know of.
   */
  cost(shardId: number, service: LocalService, maxAgeMs: number): number {
    const link = this.#links[shardId];
    if (link === undefined) return costOf(this.#own.queueDepth, this.#own.latencyUs(service.id));
    const { load, outstanding } = link;
    const id = this.#directory.peerService(shardId, service.name)?.id ?? -1;
    if (id < 0 || this.#clock.nowMs - load.heardMs(id) > maxAgeMs) return outstanding;
    return costOf(load.queueDepth(id) + outstanding, load.latencyUs(id));
  }

  #ofOwn({ id, fields }: LocalService): ShardLoad {
    const { utilisation, queueDepth, freeFraction } = this.#own;
    return {
      utilisation,
      serviceLatencyUs: this.#own.latencyUs(id),
      queueDepth,
      freeMemoryBytes: Math.round(freeFraction * this.#ownArena.sizeBytes),
      ageMs: 0,
      fields: Object.fromEntries(
        (fields?.names ?? []).map((name, field) => [name, fields?.value(field) ?? 0]),
      ),
    };
  }

  #ofPeer({ load, peerId, stopped }: Link, service: LocalService): ShardLoad | undefined {
    const known = this.#directory.peerService(peerId, service.name);
    if (stopped || known === undefined || load.heardMs(known.id) === Number.NEGATIVE_INFINITY)
      return undefined;
    const { id } = known;
    return {
      utilisation: load.utilisation(id),
      serviceLatencyUs: load.latencyUs(id),
      queueDepth: load.queueDepth(id),
      freeMemoryBytes: Math.round(load.freeFraction(id) * this.#arenas[peerId].sizeBytes),
      ageMs: Math.max(0, this.#clock.nowMs - load.heardMs(id)),
      fields: Object.fromEntries(known.fields.map((name, field) => [name, load.field(id, field)])),
    };
  }
}

function costOf(waiting: number, latencyUs: number): number {
  // Nothing is known but what waits: nearly idle.
  return Number.isNaN(latencyUs) ? waiting : (waiting + 1) * Math.max(1, latencyUs);
}
