import type { MessagePort } from 'node:worker_threads';
import { SunstarError } from './errors.js';
import { IoScheduler, reactorIoParts } from './io/index.js';
import { hashKey } from './key-hash.js';
import { ListeningSockets } from './life-cycle/listening-sockets.js';
import type { Logger } from './log.js';
import type { Arena, ShardMemory } from './memory/index.js';
import { type MetricFamily, Metrics } from './metrics/index.js';
import { OperationLatencies, type SlowOperation } from './metrics/operation-latencies.js';
import { registerShardMetrics } from './metrics/shard-metrics.js';
import { CHANNELS } from './observe/channels.js';
import { MetricSnapshot, overview } from './observe/overview.js';
import { serviceOf } from './observe/rejection.js';
import type { Reactor } from './reactor/index.js';
import { GroupNames } from './scheduling/group-names.js';
import { currentGroupId, ShardGroups } from './scheduling/index.js';
import type { ForeignPtr, Mesh, ServiceOptions, Sharded } from './smp/index.js';
import type { DrainReason } from './worker-protocol.js';

/** How long a shard drains that is stopped without a runtime. */
const DRAIN_MS = 10_000;

/** See {@link ShardContext.onDrain}. */
export type DrainTask = (signal: AbortSignal, reason: DrainReason) => void | Promise<void>;

/** What a shard offers to the code that runs on it. */
export interface ShardContext {
  /** 0 … {@link count} − 1. */
  readonly id: number;
  /** How many shards the runtime has. */
  readonly count: number;
  /** How often this shard was started again after a crash (see the option `onCrash`); 0 at first. */
  readonly generation: number;
  readonly reactor: Reactor;
  readonly memory: ShardMemory;
  /** Shares the disks among this shard's scheduling groups. */
  readonly io: IoScheduler;
  readonly log: Logger;
  /** Who gets which part of this shard's CPU time: see docs/scheduling.md. */
  readonly groups: ShardGroups;
  /** The metrics of this shard: register those of your own. */
  readonly metrics: Metrics;
  /** What this shard has done since it started, and who holds its memory: for people. */
  report(): Promise<string>;
  /** The `data` option of {@link Runtime.start}, structured-cloned; undefined under {@link attach}. */
  readonly data: unknown;
  /** The shard that a key belongs to, the same on every shard and in every run with as many shards. */
  ownerOf(key: string | Uint8Array): number;
  /**
   * Makes this shard's instance of a service and connects it with those of the other shards, which must
   * call this with the same name.
   *
   * @returns When every shard has its instance.
   * @throws SunstarError SUNSTAR_SERVICE_TIMEOUT, SUNSTAR_SERVICE_EXISTS
   */
  sharded<T extends object, A extends unknown[]>(
    name: string | ServiceOptions,
    service: new (...args: A) => T,
    ...args: A
  ): Promise<Sharded<T>>;
  /**
   * Makes the only pointer to an object of this shard, which can be sent to others: see {@link ForeignPtr}.
   *
   * @param end - Ends the object when nobody points to it any more. @default its own `Symbol.asyncDispose` or
   *   `Symbol.dispose` method, if it has one
   * @throws SunstarError SUNSTAR_TOO_MANY_FOREIGN_OBJECTS
   */
  foreign<T extends object>(object: T, end?: (object: T) => unknown): ForeignPtr<T>;
  /**
   * Has a task run before the shard stops, while all shards still work: it takes no new work, and resolves when what has
   * begun is done. The tasks of all shards run at the same time, within the runtime's `drainTimeoutMs`; then the signal
   * is aborted, and the stop goes on without those that have not ended. What one throws is logged. With the reason
   * `'handOver'` another process serves already: what has begun may take its time.
   *
   * @returns Forgets the task, for what has ended by itself.
   */
  onDrain(task: DrainTask): () => void;
  /** Has a task run when the shard stops; the last one registered runs first. @returns Forgets the task. */
  onStop(task: () => void | Promise<void>): () => void;
  /** The listening sockets of this shard, for the packages that listen. */
  readonly listeners: ListeningSockets;
  /** Whether the stop has begun, its drain included: what is long should end. */
  readonly stopping: boolean;
}

/** What a {@link Shard} is made of. */
export interface ShardParts {
  /** @default none */
  readonly listeners?: ListeningSockets;
  readonly id: number;
  readonly count: number;
  readonly generation: number;
  readonly reactor: Reactor;
  readonly memory: ShardMemory;
  readonly mesh: Mesh;
  readonly log: Logger;
  /** The names of all shards' scheduling groups, from `createGroupNames()`. */
  readonly groupNames: SharedArrayBuffer;
  /** Operations on files that take longer are logged. @default 1000 */
  readonly slowOperationMs?: number;
  /** The same for sockets. @default 10000 */
  readonly slowSocketOperationMs?: number;
  readonly data: unknown;
}

const DEFAULT_SLOW_OPERATION_MS = 1000;
const DEFAULT_SLOW_SOCKET_OPERATION_MS = 10_000;

/** One shard: the thread it runs on, its reactor, memory and services. */
export class Shard implements ShardContext, AsyncDisposable {
  readonly id: number;
  readonly count: number;
  readonly generation: number;
  readonly listeners: ListeningSockets;
  readonly reactor: Reactor;
  readonly memory: ShardMemory;
  readonly io: IoScheduler;
  readonly log: Logger;
  readonly metrics: Metrics;
  readonly groups: ShardGroups;
  readonly data: unknown;
  readonly #mesh: Mesh;
  readonly #stopTasks: (() => void | Promise<void>)[] = [];
  readonly #drainTasks: DrainTask[] = [];
  readonly #drainEnd = new AbortController();
  #isStopping = false;
  #drained: Promise<void> | undefined;
  #stopped: Promise<void> | undefined;

  constructor(parts: ShardParts) {
    this.id = parts.id;
    this.count = parts.count;
    this.generation = parts.generation;
    this.listeners = parts.listeners ?? new ListeningSockets();
    this.reactor = parts.reactor;
    this.memory = parts.memory;
    this.io = new IoScheduler(reactorIoParts(parts.reactor));
    this.log = parts.log;
    this.groups = new ShardGroups(new GroupNames(parts.groupNames));
    this.data = parts.data;
    this.#mesh = parts.mesh;
    const mesh = parts.mesh;
    this.reactor.watch(mesh.words, mesh.watch, mesh.sleepWord);
    this.reactor.addPoller(mesh);
    this.metrics = new Metrics({ shard: this.id }, (metric, error) =>
      this.log.error({ err: error, metric }, 'a metric could not be read'),
    );
    registerShardMetrics(this.metrics, { ...this, mesh });
    const slow = {
      fileMs: parts.slowOperationMs ?? DEFAULT_SLOW_OPERATION_MS,
      socketMs: parts.slowSocketOperationMs ?? DEFAULT_SLOW_SOCKET_OPERATION_MS,
    };
    const latencies = new OperationLatencies(this.metrics, slow, (one) => this.#onSlow(one));
    this.reactor.observe(latencies);
  }

  get stopping(): boolean {
    return this.#isStopping;
  }

  ownerOf(key: string | Uint8Array): number {
    return this.count === 1 ? 0 : hashKey(key) % this.count;
  }

  async sharded<T extends object, A extends unknown[]>(
    name: string | ServiceOptions,
    service: new (...args: A) => T,
    ...args: A
  ): Promise<Sharded<T>> {
    const sharded = await this.#mesh.sharded(name, service, ...args);
    this.onStop(() => sharded.stop());
    return sharded;
  }

  foreign<T extends object>(object: T, end?: (object: T) => unknown): ForeignPtr<T> {
    return this.#mesh.foreign(object, end);
  }

  onDrain(task: DrainTask): () => void {
    this.#refuseWhen(this.stopping);
    this.#drainTasks.push(task);
    return () => forget(this.#drainTasks, task);
  }

  onStop(task: () => void | Promise<void>): () => void {
    // A service that begins while others drain has to be stopped too.
    this.#refuseWhen(this.#stopped !== undefined);
    this.#stopTasks.push(task);
    return () => forget(this.#stopTasks, task);
  }

  #refuseWhen(isTooLate: boolean): void {
    if (!isTooLate) return;
    throw new SunstarError(
      'SUNSTAR_SHARD_STOPPING',
      `Shard ${this.id} is stopping and takes no new drain or stop tasks.`,
    );
  }

  /** Runs the drain tasks, all at once. Resolves when all have ended. */
  drain(reason: DrainReason = 'stop'): Promise<void> {
    this.#isStopping = true;
    this.#drained ??= this.#runDrainTasks(reason);
    return this.#drained;
  }

  /** The time for the drain is over. */
  endDrain(): void {
    this.#drainEnd.abort(
      new SunstarError(
        'SUNSTAR_DRAIN_TIMEOUT',
        'The drain took longer than `drainTimeoutMs`: the shard stops now.',
      ),
    );
  }

  /**
   * Runs the drain tasks unless they have run, and then the stop tasks, the last one registered first. All of them run
   * even when one fails.
   *
   * @throws AggregateError with what failed, after the last task.
   */
  stop(): Promise<void> {
    this.#isStopping = true;
    this.#stopped ??= this.#runStopTasks();
    return this.#stopped;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.stop();
  }

  /** Ends the cross-shard calls; the last thing before the thread ends. */
  close(): void {
    this.#mesh.close();
    // The mesh may have said goodbye to peers that sleep: their wake-ups must go out before the ring goes.
    this.reactor.ring.enter(0);
    this.reactor[Symbol.dispose]();
  }

  /** Rejects calls to a shard that has crashed. */
  peerGone(shardId: number, cause: unknown): void {
    this.#mesh.peerGone(shardId, cause);
  }

  /** What this shard has done since it started, and who holds its memory: for people. */
  async report(): Promise<string> {
    const up: MetricFamily = {
      name: 'sunstar_shard_up',
      help: '',
      type: 'gauge',
      aggregator: 'sum',
      values: [{ value: 1, labels: { shard: this.id } }],
    };
    // Loaded when somebody asks: few shards ever print one.
    const { overviewTable } = await import('./observe/overview-table.js');
    const snapshot = new MetricSnapshot([[up], await this.metrics.collect()]);
    return `${overviewTable(overview(snapshot))}\n${this.memory.report()}`;
  }

  /** Connects with a shard that was started again. */
  peerBack(shardId: number, arena: Arena, port: MessagePort | undefined): void {
    this.#mesh.peerBack(shardId, arena, port);
  }

  /** The group that runs, and the service that an error comes from: for a promise whose rejection nobody handles. */
  whereRejected(error: unknown): { readonly group: string; readonly service: string | undefined } {
    const groupId = currentGroupId();
    const group = this.groups.all.find(({ id }) => id === groupId)?.name ?? String(groupId);
    return { group, service: serviceOf(error, this.#mesh.services) };
  }

  #onSlow(slow: SlowOperation): void {
    const latencyMs = Math.round(slow.latencyMs);
    const { operation, on, group } = slow;
    this.log.warn({ operation, group, latencyMs }, `an operation on a ${on} was slow`);
    CHANNELS.slowOperation.publish({ shard: this.id, ...slow });
  }

  async #drainWithin(timeoutMs: number): Promise<void> {
    const timer = setTimeout(() => this.endDrain(), timeoutMs);
    const { signal } = this.#drainEnd;
    const ended = new Promise<void>((resolve) => {
      signal.addEventListener('abort', () => resolve(), { once: true });
    });
    await Promise.race([this.drain(), ended]);
    clearTimeout(timer);
  }

  async #runDrainTasks(reason: DrainReason): Promise<void> {
    const { signal } = this.#drainEnd;
    // All begin before this returns: no shard takes new work while another one still does.
    const tasks = this.#drainTasks.toReversed().map(async (task) => task(signal, reason));
    for (const result of await Promise.allSettled(tasks)) {
      if (result.status === 'rejected') this.log.error({ err: result.reason }, 'a drain task failed');
    }
  }

  async #runStopTasks(): Promise<void> {
    if (this.#drained === undefined) await this.#drainWithin(DRAIN_MS);
    const failures: unknown[] = [];
    for (let task = this.#stopTasks.pop(); task !== undefined; task = this.#stopTasks.pop()) {
      try {
        await task();
      } catch (error) {
        failures.push(error);
        this.log.error({ err: error }, 'a stop task failed');
      }
    }
    if (failures.length > 0)
      throw new AggregateError(failures, `${failures.length} stop tasks of shard ${this.id} failed`);
  }
}

/** Removes a task from a list that it may not be in any more. */
function forget<T>(tasks: T[], task: T): void {
  const at = tasks.lastIndexOf(task);
  if (at >= 0) tasks.splice(at, 1);
}

let current: Shard | undefined;

/** Makes a shard the one of this thread. */
export function setCurrentShard(shard: Shard): void {
  current = shard;
}

/** The shard of this thread, if it has one. */
export function findCurrentShard(): Shard | undefined {
  return current;
}

/**
 * The shard of this thread.
 *
 * @throws SunstarError SUNSTAR_NOT_ATTACHED on a thread that is no shard.
 */
export function currentShard(): ShardContext {
  if (current === undefined) {
    throw new SunstarError(
      'SUNSTAR_NOT_ATTACHED',
      'This thread is no shard. Call attach() first, or run this code inside the entry module of Runtime.start().',
    );
  }
  return current;
}
