import { SunstarError } from './errors.js';
import { EndSignals } from './life-cycle/end-signals.js';
import { HandOver } from './life-cycle/hand-over.js';
import { dealSockets, type ListeningSocket } from './life-cycle/listening-sockets.js';
import { logAdvice, logBackend } from './life-cycle/log-advice.js';
import { Reloader } from './life-cycle/reloader.js';
import { TakeOver } from './life-cycle/take-over.js';
import { within } from './life-cycle/time-limit.js';
import { type Logger, shardLogger } from './log.js';
import { createArena } from './memory/index.js';
import { Observer } from './observe/observer.js';
import { forShard } from './observe/options.js';
import { OffloadPool, type PoolClient } from './offload/pool.js';
import type { BackendChoice } from './reactor/index.js';
import { type ResolvedOptions, type RuntimeOptions, resolveOptions, usableBytes } from './runtime-options.js';
import { createGroupNames, GroupNames } from './scheduling/group-names.js';
import type { ShardCrashedError } from './shard-crashed-error.js';
import { ShardHandle } from './shard-handle.js';
import { ShardPorts } from './shard-ports.js';
import { createControlBlock, resetShard } from './smp/index.js';
import { type DrainReason, toWire } from './worker-protocol.js';

/** What a {@link Runtime} is doing. */
export type RuntimeState = 'starting' | 'running' | 'draining' | 'stopping' | 'stopped';

/**
 * A process's shards: one thread each, every one with its part of the memory, running the same entry
 * module. Lives on the main thread, which is no shard itself.
 *
 * The idea and the order of start and stop are Seastar's.
 */
export class Runtime implements AsyncDisposable {
  /** How many shards run. */
  readonly shardCount: number;
  /** Arena of each shard in bytes. */
  readonly memoryPerShardBytes: number;
  /** Who serves the shards' rings, and why. */
  readonly backend: BackendChoice;
  /** The CPUs that each shard is bound to; undefined for one that is not bound. */
  readonly placement: readonly (readonly number[] | undefined)[];
  /**
   * Settles when all shards have ended: resolves after {@link stop}, rejects with the
   * {@link ShardCrashedError} of a crash that stopped the runtime.
   */
  readonly finished: Promise<void>;

  readonly #options: ResolvedOptions;
  readonly #log: Logger;
  readonly #control: SharedArrayBuffer;
  readonly #groupNames = createGroupNames();
  readonly #arenas: SharedArrayBuffer[] = [];
  readonly #pool: OffloadPool;
  readonly #generations: number[];
  readonly #ports: ShardPorts;
  readonly #reloader: Reloader;
  readonly #shards: ShardHandle[];
  readonly #observer: Observer;
  #state: RuntimeState = 'starting';
  #handOver: HandOver | undefined;
  #drainReason: DrainReason = 'stop';
  #crash: ShardCrashedError | undefined;
  #stopping: Promise<void> | undefined;
  #finish: (error: Error | undefined) => void = () => {};

  private constructor(options: ResolvedOptions, takeOver: TakeOver | undefined) {
    this.#options = options;
    this.#log = shardLogger(this.#options.log);
    const { shardCount, arenaBytes, placed, offload, mesh } = this.#options;
    this.shardCount = shardCount;
    this.backend = this.#options.backend;
    this.memoryPerShardBytes = arenaBytes;
    this.placement = placed.cpus;
    this.finished = new Promise((resolve, reject) => {
      this.#finish = (error) => (error === undefined ? resolve() : reject(error));
    });
    // Whoever does not look at `finished` hears of a crash through start(), stop() and untilSignal().
    this.finished.catch(() => {});
    this.#control = createControlBlock(shardCount);
    for (let shardId = 0; shardId < shardCount; shardId++) this.#arenas.push(this.#newArena());
    this.#pool = new OffloadPool(offload, mesh.maxMessageBytes);
    this.#generations = new Array<number>(shardCount).fill(0);
    this.#ports = new ShardPorts(shardCount);
    const inherited = dealSockets(takeOver?.sockets ?? [], shardCount);
    this.#shards = this.#arenas.map((_, shardId) => this.#spawn(shardId, inherited[shardId]));
    this.#reloader = new Reloader({
      options: this.#options.reload,
      log: this.#log,
      shards: this.#shards,
      restart: (shardIds) => this.#restart(shardIds),
      giveUp: (error) => this.#stopBy(error),
    });
    const names = new GroupNames(this.#groupNames);
    this.#observer = new Observer({
      shards: this.#shards,
      groupName: (groupId) => names.nameOf(groupId),
      log: this.#log,
      entry: this.#options.entry,
      options: this.#options.observe,
    });
  }

  /**
   * Starts the shards and runs the entry module's default export on each.
   *
   * @returns When every shard's entry function has returned (or its promise resolved).
   * @throws ShardCrashedError when one fails; all others are stopped first. SunstarError
   * SUNSTAR_START_TIMEOUT, SUNSTAR_INVALID_OPTION, SUNSTAR_INVALID_SIZE.
   */
  static async start(options: RuntimeOptions): Promise<Runtime> {
    const resolved = resolveOptions(options);
    const takeOver = resolved.handOver === undefined ? undefined : TakeOver.connect(resolved.handOver);
    const runtime = new Runtime(resolved, takeOver);
    runtime.#advise();
    // Until this process has taken over, the one before serves: it keeps the addresses, and their paths.
    if (takeOver !== undefined) runtime.#drainReason = 'handOver';
    try {
      await within(runtime.#options.startTimeoutMs, 'start', async () => {
        await Promise.all(runtime.#shards.map((shard) => shard.reach('ready')));
        for (const shard of runtime.#shards) shard.send({ type: 'start' });
        await Promise.all(runtime.#shards.map((shard) => shard.reach('started')));
        await runtime.#observer.start();
      });
    } catch (error) {
      // A crash of one shard stops the others before they have started: the crash is what went wrong. One that comes
      // later is a consequence of the stop.
      const crash = runtime.#crash;
      await runtime.stop().catch(() => {});
      // When the shards accept no more: the process before this one goes on, and looks for what they left.
      takeOver?.abandon();
      throw crash ?? error;
    }
    runtime.#drainReason = 'stop';
    runtime.#state = 'running';
    await runtime.#followUp(takeOver);
    return runtime;
  }

  /** How many threads were started in place of crashed ones, see the option `onCrash`. */
  get restarts(): number {
    return this.#reloader.restarts;
  }

  /** What the runtime is doing. */
  get state(): RuntimeState {
    return this.#state;
  }

  /**
   * Stops all shards, in phases, each begun by all shards before the next:
   *
   * 1. drain: listeners accept no more, what has begun ends; at most `drainTimeoutMs`;
   * 2. stop: the stop tasks run, while cross-shard calls still work;
   * 3. exit: the threads end, the last shard first.
   *
   * A shard that has not ended `stopTimeoutMs` after the drain is terminated.
   *
   * @throws The first error of a stop task; SunstarError SUNSTAR_STOP_TIMEOUT.
   */
  stop(): Promise<void> {
    this.#stopping ??= this.#stop();
    return this.#stopping;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.stop();
  }

  /**
   * Waits for SIGINT or SIGTERM, then stops. A second signal ends the process at once with the signal's
   * usual exit code; one within a second of the first counts as the same, because a terminal and npm
   * both pass Ctrl-C on.
   *
   * @throws ShardCrashedError when a crash ends the runtime before.
   */
  async untilSignal(): Promise<void> {
    using signals = new EndSignals();
    await Promise.race([signals.first, this.finished]);
    await this.stop();
    await this.finished;
  }

  /** The metrics of all shards in the text format of Prometheus; a shard that stalls is left out. */
  metrics(): Promise<string> {
    return this.#observer.text();
  }

  /** What the shards have done since they started: tables for people. */
  async report(): Promise<string> {
    const { backend, reason } = this.backend;
    return `backend ${backend}: ${reason}\n${await this.#observer.report()}`;
  }

  /** The port on which the metrics are served; undefined without the option `metrics`. */
  get metricsPort(): number | undefined {
    return this.#observer.metricsPort;
  }

  /** Whether another process has taken over, or is about to. */
  get handedOver(): boolean {
    return this.#drainReason === 'handOver';
  }

  /** Takes the place of the process before, and waits for the one after. */
  async #followUp(takeOver: TakeOver | undefined): Promise<void> {
    const { handOver: directory } = this.#options;
    if (directory === undefined) return;
    try {
      takeOver?.finish();
      const handOver = await HandOver.listen({
        directory,
        log: this.#log,
        collect: async () =>
          (await Promise.all(this.#shards.map((shard) => shard.duplicateListeners()))).flat(),
        handedOver: () => {
          this.#drainReason = 'handOver';
          this.stop().catch(() => {});
        },
        gaveUp: () => {
          for (const shard of this.#shards) shard.send({ type: 'lookAgain' });
        },
      });
      if (this.#stopping === undefined) this.#handOver = handOver;
      else handOver.close();
    } catch (error) {
      // It serves, and that is more important.
      this.#log.error({ err: error }, 'the next process will not be able to take over from this one');
    }
  }

  #newArena(): SharedArrayBuffer {
    const { arenaBytes, hugePages } = this.#options;
    return createArena(arenaBytes, { hugePages }).shared as SharedArrayBuffer;
  }

  #spawn(shardId: number, inherited: readonly ListeningSocket[] = []): ShardHandle {
    const { shardCount, placed, entry, data, idlePollUs, taskQuotaUs, mesh, offload, observe, log } =
      this.#options;
    const pool = this.#pool;
    const client: PoolClient = {
      shardId,
      arena: this.#arenas[shardId],
      report: (report) => shard.send(report),
    };
    const shard = new ShardHandle(
      {
        shardId,
        shardCount,
        generation: this.#generations[shardId],
        inherited,
        handsOver: this.#options.handOver !== undefined,
        control: this.#control,
        arenas: this.#arenas,
        ports: this.#ports.take(shardId),
        cpus: placed.cpus[shardId],
        entry,
        data,
        backend: this.backend.backend,
        idlePollUs,
        taskQuotaUs,
        groupNames: this.#groupNames,
        mesh,
        offloadLimits: [...offload.limits.keys()],
        observe: forShard(observe),
        log,
      },
      {
        ready: (ringFd) => this.#observer.watch(shardId, ringFd),
        crashed: (error) => this.#onCrash(error),
        offload: (command) => {
          if (command.type === 'offload') pool.submit(client, command.request);
          else pool.abort(client, command.callId);
        },
      },
    );
    void shard.ended.then(() => pool.drop(client));
    return shard;
  }

  async #stop(): Promise<void> {
    let failure: Error | undefined;
    this.#state = 'draining';
    this.#handOver?.close();
    const reloaded = this.#reloader.stop();
    await this.#drain();
    this.#state = 'stopping';
    try {
      await within(this.#options.stopTimeoutMs, 'stop', async () => {
        const live = this.#shards.filter((shard) => !shard.hasEnded);
        const results = await Promise.allSettled(live.map((shard) => shard.stop()));
        const failed = results.find((result) => result.status === 'rejected');
        failure ??= failed?.reason as Error | undefined;
        for (const shard of this.#shards.toReversed()) await shard.exit();
      });
    } catch (error) {
      failure ??= error as Error;
      await Promise.all(this.#shards.map((shard) => shard.terminate()));
    }
    await reloaded;
    await this.#pool.close();
    this.#observer.stop();
    this.#state = 'stopped';
    this.#finish(this.#crash);
    if (failure !== undefined && failure !== this.#crash) throw failure;
  }

  async #drain(): Promise<void> {
    const { drainTimeoutMs } = this.#options;
    let timer: NodeJS.Timeout | undefined;
    const timeout = new Promise<'timeout'>((resolve) => {
      timer = setTimeout(resolve, drainTimeoutMs, 'timeout');
    });
    // A shard that ends meanwhile has nothing left to drain.
    const drained = Promise.allSettled(this.#shards.map((shard) => shard.drain(this.#drainReason)));
    if ((await Promise.race([drained, timeout])) === 'timeout') {
      if (drainTimeoutMs > 0)
        this.#log.warn({ drainTimeoutMs }, 'not all work has ended in time: stopping without it');
      for (const shard of this.#shards) shard.send({ type: 'endDrain' });
    }
    clearTimeout(timer);
  }

  #advise(): void {
    const { backend } = this;
    logBackend(this.#log, backend);
    if (!this.#options.advice) return;
    const memoryBytes = this.memoryPerShardBytes * this.shardCount;
    logAdvice(this.#log, { backend, memoryBytes, usableBytes: usableBytes() });
  }

  #onCrash(error: ShardCrashedError): void {
    const cause = toWire(error);
    for (const shard of this.#shards) {
      if (shard.shardId !== error.shardId) shard.forget(error.shardId, cause);
    }
    const { onCrash } = this.#options;
    const action = typeof onCrash === 'function' ? onCrash(error) : onCrash;
    // A start fails as a whole: what is wrong with it would only repeat itself. While stopping nothing is started.
    if (action === 'reload' && this.#state === 'running') this.#reloader.crashed(error);
    else if (action !== undefined) this.#stopBy(error);
    else this.#crash ??= error;
  }

  #stopBy(error: ShardCrashedError): void {
    this.#crash ??= error;
    this.stop().catch(() => {});
  }

  /** Starts threads for shards that have crashed and that all others have forgotten. */
  async #restart(shardIds: readonly number[]): Promise<void> {
    for (const shardId of shardIds) {
      resetShard(this.#control, shardId);
      // Others may still read the old arena; it goes with the last of them.
      this.#arenas[shardId] = this.#newArena();
      this.#generations[shardId]++;
      this.#ports.renew(shardId);
    }
    for (const shardId of shardIds) this.#shards[shardId] = this.#spawn(shardId);
    const fresh = shardIds.map((shardId) => this.#shards[shardId]);
    const others = this.#shards.filter((shard) => !fresh.includes(shard));
    try {
      await within(this.#options.startTimeoutMs, 'start', async () => {
        await Promise.all(fresh.map((shard) => this.#bringBack(shard, others)));
      });
    } catch (error) {
      const isTooSlow = error instanceof SunstarError && error.code === 'SUNSTAR_START_TIMEOUT';
      const late = isTooSlow && this.#state === 'running' ? fresh : [];
      for (const shard of late) if (!shard.has('started')) shard.kill(error as Error);
      throw error;
    }
  }

  async #bringBack(shard: ShardHandle, others: readonly ShardHandle[]): Promise<void> {
    const { shardId } = shard;
    await shard.reach('ready');
    for (const other of others) {
      const port = this.#ports.takeOne(other.shardId, shardId);
      const command = { type: 'peerBack', shardId, arena: this.#arenas[shardId], port } as const;
      other.send(command, port === undefined ? [] : [port]);
    }
    shard.send({ type: 'start' });
    await shard.reach('started');
  }
}
