import { heapArena } from '../../src/memory/arena.ts';
import { ShardMemory } from '../../src/memory/shard-memory.ts';
import { ShardPorts } from '../../src/shard-ports.ts';
import { createControlBlock } from '../../src/smp/layout.ts';
import { Mesh } from '../../src/smp/mesh.ts';
import type { MeshLimits } from '../../src/smp/options.ts';
import { TimerWheel } from '../../src/sync/timer-wheel.ts';

/** Options of {@link shards}. */
export interface ShardsOptions extends MeshLimits {
  readonly count?: number;
  readonly slots?: number;
  readonly memoryBytes?: number;
  /** Whether there are message ports between the shards. @default false */
  readonly ports?: boolean;
  readonly idleMs?: () => number;
}

/** Several shards on one thread: their messages move when `turn()` or `settle()` says so. */
export interface Shards {
  /** The time of all shards, which stands still unless it is advanced. */
  readonly wheel: TimerWheel;
  readonly meshes: Mesh[];
  readonly memories: ShardMemory[];
  /** Shards that were woken, in order. */
  readonly woken: number[];
  /** Every shard polls once, and promises run. @returns How many messages were handled. */
  turn(): Promise<number>;
  /** Turns until nothing moves any more. */
  settle(): Promise<void>;
  /** Turns until a promise has settled. */
  until<T>(promise: Promise<T>): Promise<T>;
  /** All blocks are home, all invariants hold. */
  check(): void;
}

export function shards(options: ShardsOptions = {}): Shards {
  const count = options.count ?? 2;
  const control = createControlBlock(count, options.slots);
  const arenas = Array.from({ length: count }, () => heapArena(options.memoryBytes ?? 4 * 1024 * 1024));
  const memories = arenas.map((arena) => new ShardMemory(arena));
  const woken: number[] = [];
  const wheel = new TimerWheel();
  const ports = options.ports === true ? new ShardPorts(count) : undefined;
  const meshes = memories.map(
    (memory, shardId) =>
      new Mesh({
        ...options,
        shardId,
        control,
        memory,
        peerArenas: arenas,
        ...(ports === undefined ? {} : { peerPorts: ports.take(shardId) }),
        clock: wheel,
        timers: wheel,
        wake: (shard) => woken.push(shard),
      }),
  );
  const turn = async (): Promise<number> => {
    let handled = 0;
    for (const mesh of meshes) handled += mesh.poll();
    await new Promise((resolve) => setImmediate(resolve));
    return handled;
  };
  const settle = async (): Promise<void> => {
    // Two turns without a message: promises that settle in the first may send some for the second.
    for (let idle = 0; idle < 2; idle++) {
      if ((await turn()) > 0 || meshes.some((mesh) => mesh.stats.queued > 0)) idle = -1;
    }
  };
  return {
    wheel,
    meshes,
    memories,
    woken,
    turn,
    settle,
    async until(promise) {
      let pending = true;
      const done = (): void => {
        pending = false;
      };
      promise.then(done, done);
      while (pending) await turn();
      return promise;
    },
    check() {
      for (const mesh of meshes) {
        mesh.invariants();
        const { blocksAway, held } = mesh.stats;
        if (blocksAway + held !== 0) throw new Error(`${blocksAway} values are away, ${held} are held`);
      }
      for (const memory of memories) {
        memory.invariants();
        if (memory.stats().liveBlocks !== 0) throw new Error(`${memory.stats().liveBlocks} blocks are away`);
      }
    },
  };
}

/** Starts a service on all shards. */
export async function startService<T extends object, A extends unknown[]>(
  all: Shards,
  name: string,
  service: new (...args: A) => T,
  ...args: A
) {
  return all.until(Promise.all(all.meshes.map((mesh) => mesh.sharded(name, service, ...args))));
}
