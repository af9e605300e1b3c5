import { type MessagePort, Worker } from 'node:worker_threads';
import { SunstarError } from './errors.js';
import type { ListeningSocket } from './life-cycle/listening-sockets.js';
import type { MetricFamily } from './metrics/index.js';
import { CHANNELS } from './observe/channels.js';
import type { OffloadCommand } from './offload/protocol.js';
import { ShardCrashedError } from './shard-crashed-error.js';
import {
  type Command,
  type DrainReason,
  fromWire,
  type RejectedWhere,
  type Report,
  type ShardBirth,
  type WireError,
} from './worker-protocol.js';

/** A step in the life of a shard that the main thread waits for. */
type Step = 'ready' | 'started' | 'drained' | 'stopped';

/** What a {@link ShardHandle} tells. */
export interface ShardEvents {
  /** The thread has its ring. */
  ready(ringFd: number): void;
  /** The thread has ended, and nobody asked it to. */
  crashed(error: ShardCrashedError): void;
  /** The shard offloads a call, or gives one up. */
  offload(command: OffloadCommand): void;
}

/** The main thread's side of one shard's thread. */
export class ShardHandle {
  readonly shardId: number;
  /** Settles when the thread has ended, whatever ended it. */
  readonly ended: Promise<void>;
  readonly #worker: Worker;
  readonly #waiting = new Map<Step, { resolve: () => void; reject: (error: unknown) => void }>();
  readonly #reached = new Set<Step>();
  readonly #forgetting = new Map<number, { promise: Promise<void>; forgotten: () => void }>();
  #stopError: Error | undefined;
  #exiting = false;
  #hasEnded = false;
  #crash: ShardCrashedError | undefined;
  #onListeners: (sockets: readonly ListeningSocket[]) => void = () => {};
  #collecting: Promise<readonly MetricFamily[]> | undefined;
  #onMetrics: (families: readonly MetricFamily[]) => void = () => {};

  constructor(birth: ShardBirth, on: ShardEvents) {
    this.shardId = birth.shardId;
    this.#worker = new Worker(new URL('./shard-main.js', import.meta.url), {
      workerData: birth,
      transferList: birth.ports.filter((port) => port !== undefined),
      name: `shard ${birth.shardId}`,
    });
    this.#worker.on('message', (report: Report) => this.#onReport(report, on));
    // The report of the same error says more, and comes before or after, but always before the exit.
    let thrown: Error | undefined;
    this.#worker.on('error', (error) => {
      thrown = error;
    });
    this.ended = new Promise((resolve) => {
      this.#worker.on('exit', (exitCode) => {
        if (thrown !== undefined) this.#crashed(thrown);
        if (!this.#exiting) this.#crashed(new Error(`its thread ended by itself with exit code ${exitCode}`));
        this.#hasEnded = true;
        for (const waiter of this.#waiting.values()) waiter.reject(this.#endError());
        this.#waiting.clear();
        CHANNELS.shardStop.publish({ shard: this.shardId });
        if (this.#crash !== undefined) on.crashed(this.#crash);
        resolve();
      });
    });
  }

  /** Resolves when the shard reports the step; rejects when it ends before, by a crash or on request. */
  reach(step: Step): Promise<void> {
    if (this.#crash !== undefined) return Promise.reject(this.#crash);
    if (this.#reached.has(step)) return Promise.resolve();
    if (this.#hasEnded) return Promise.reject(this.#endError());
    return new Promise((resolve, reject) => this.#waiting.set(step, { resolve, reject }));
  }

  /** @param transfer - Ports in the command that move with it. */
  send(command: Command, transfer: readonly MessagePort[] = []): void {
    this.#worker.postMessage(command, transfer);
  }

  /**
   * Asks the shard for its metrics.
   *
   * @throws SunstarError `SUNSTAR_SHARD_SILENT` when it does not answer in time, because it stalls or has ended.
   */
  async collectMetrics(timeoutMs: number): Promise<readonly MetricFamily[]> {
    if (this.#collecting === undefined) {
      this.#collecting = new Promise((resolve) => {
        this.#onMetrics = resolve;
      });
      this.send({ type: 'collectMetrics' });
    }
    let timer: NodeJS.Timeout | undefined;
    const silence = new Promise<never>((_, reject) => {
      timer = setTimeout(() => {
        const message = `Shard ${this.shardId} did not tell its metrics within ${timeoutMs} ms: it stalls, or has ended.`;
        reject(new SunstarError('SUNSTAR_SHARD_SILENT', message));
      }, timeoutMs);
    });
    try {
      return await Promise.race([this.#collecting, silence]);
    } finally {
      clearTimeout(timer);
    }
  }

  /** Whether the thread has ended. */
  get hasEnded(): boolean {
    return this.#hasEnded;
  }

  /** Whether the shard has reported a step. */
  has(step: Step): boolean {
    return this.#reached.has(step);
  }

  /** Tells the shard that a peer's thread has ended. */
  forget(peerId: number, cause: WireError): void {
    if (this.#hasEnded) return;
    let forgotten: () => void = () => {};
    const promise = new Promise<void>((resolve) => {
      forgotten = resolve;
    });
    this.#forgetting.set(peerId, { promise, forgotten });
    this.send({ type: 'peerGone', shardId: peerId, cause });
  }

  /** Resolves when the shard has forgotten what it was told to, or has ended. */
  async forgot(peerId: number): Promise<void> {
    await Promise.race([this.#forgetting.get(peerId)?.promise, this.ended]);
  }

  /** The shard's listening sockets, with descriptors that the caller closes; none when it has ended. */
  async duplicateListeners(): Promise<readonly ListeningSocket[]> {
    const told = new Promise<readonly ListeningSocket[]>((resolve) => {
      this.#onListeners = resolve;
    });
    this.send({ type: 'duplicateListeners' });
    return (await Promise.race([told, this.ended])) ?? [];
  }

  /** Ends the thread, as if it had crashed by this. */
  kill(cause: Error): void {
    this.#crashed(cause);
    void this.#worker.terminate();
  }

  /** Runs the shard's drain tasks. */
  drain(reason: DrainReason): Promise<void> {
    this.send({ type: 'drain', reason });
    return this.reach('drained');
  }

  /** Runs the shard's stop tasks. */
  async stop(): Promise<void> {
    this.send({ type: 'stop' });
    await this.reach('stopped');
    if (this.#stopError !== undefined) throw this.#stopError;
  }

  /** Has the thread end; resolves when it has. */
  exit(): Promise<void> {
    this.#exiting = true;
    this.send({ type: 'exit' });
    return this.ended;
  }

  /** Ends the thread at once; operations in flight are drained by native code first. */
  async terminate(): Promise<void> {
    this.#exiting = true;
    await this.#worker.terminate();
  }

  #onReport(report: Report, on: ShardEvents): void {
    if (report.type === 'offload' || report.type === 'offloadAbort') {
      on.offload(report);
      return;
    }
    if (report.type === 'metrics') {
      this.#collecting = undefined;
      this.#onMetrics(report.families);
      return;
    }
    if (report.type === 'listeners') {
      this.#onListeners(report.sockets);
      return;
    }
    if (report.type === 'peerForgotten') {
      this.#forgetting.get(report.shardId)?.forgotten();
      this.#forgetting.delete(report.shardId);
      return;
    }
    if (report.type === 'failed') {
      this.#crashed(fromWire(report.error), report.where);
      void this.#worker.terminate();
      return;
    }
    if (report.type === 'stopped' && report.error !== undefined) this.#stopError = fromWire(report.error);
    if (report.type === 'ready') on.ready(report.ringFd);
    if (report.type === 'started') CHANNELS.shardStart.publish({ shard: this.shardId });
    this.#reached.add(report.type);
    this.#waiting.get(report.type)?.resolve();
    this.#waiting.delete(report.type);
  }

  #endError(): SunstarError {
    return (
      this.#crash ??
      new SunstarError('SUNSTAR_SHARD_STOPPED', `Shard ${this.shardId} was stopped before it got so far.`)
    );
  }

  #crashed(cause: unknown, where?: RejectedWhere): void {
    if (this.#crash !== undefined) return;
    this.#crash = new ShardCrashedError(this.shardId, cause, where);
    CHANNELS.shardCrash.publish({ shard: this.shardId, error: this.#crash });
  }
}
