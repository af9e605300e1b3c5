import type { Worker } from 'node:worker_threads';
import { Piscina } from 'piscina';
import { SunstarError } from '../errors.js';
import { toWire } from '../worker-protocol.js';
import type { FullOffloadOptions } from './options.js';
import type {
  LateReturn,
  OffloadAnswer,
  OffloadOutcome,
  OffloadReport,
  OffloadRequest,
  OffloadTask,
  PoolThreadData,
} from './protocol.js';
import { OffloadScheduler } from './scheduler.js';

/** A shard, as the pool sees it. */
export interface PoolClient {
  readonly shardId: number;
  readonly arena: SharedArrayBuffer;
  report(report: OffloadReport): void;
}

/** A call from its arrival until nobody reads its arguments any more. */
interface Entry {
  readonly client: PoolClient;
  readonly request: OffloadRequest;
  readonly limit: string;
  readonly controller: AbortController;
  readonly arrivedMs: number;
  /** NaN while it waits. */
  startedMs: number;
  place: number;
  ticket: number;
}

const TICKETS = 2 ** 30;

/**
 * The threads that run offloaded calls of all shards, in a piscina pool on the thread that starts the runtime. Values
 * do not pass through that thread: it is given descriptions of memory, and hands them on.
 */
export class OffloadPool {
  readonly #options: FullOffloadOptions;
  readonly #scheduler: OffloadScheduler<Entry>;
  readonly #piscina: Piscina;
  /** Calls that have not ended, by client and number; a client stays until it is dropped. */
  readonly #entries = new Map<PoolClient, Map<number, Entry>>();
  readonly #dropped = new WeakSet<PoolClient>();
  /** Threads that have not ended, and what resolves then. */
  readonly #threads = new Map<number, Promise<void>>();
  readonly #freePlaces: number[];
  readonly #claims: Int32Array;
  #lastTicket = 0;
  #closed: Promise<void> | undefined;

  /** @param maxMessageBytes - The largest result of a call, encoded. */
  constructor(options: FullOffloadOptions, maxMessageBytes: number) {
    this.#options = options;
    this.#scheduler = new OffloadScheduler(options.threads, options.limits);
    this.#freePlaces = Array.from({ length: options.threads }, (_, place) => place);
    this.#claims = new Int32Array(new SharedArrayBuffer(4 * options.threads));
    const { cpus, nice, memoryBytes } = options;
    const data: PoolThreadData = { claims: this.#claims, cpus, nice, memoryBytes, maxMessageBytes };
    this.#piscina = new Piscina({
      filename: new URL('./pool-thread.js', import.meta.url).href,
      name: 'runTask',
      minThreads: 0,
      maxThreads: options.threads,
      idleTimeout: options.idleTimeoutMs,
      recordTiming: false,
      workerData: data,
    });
    this.#piscina.on('message', (message: LateReturn) => this.#lateReturn(message));
    // What ends a thread while it runs a call rejects that call; nobody else has to know.
    this.#piscina.on('error', () => {});
    this.#piscina.on('workerCreate', () => this.#noteThreads());
  }

  /** Threads that run at the moment. */
  get threadCount(): number {
    return this.#threads.size;
  }

  /** Takes a call of a shard; its end is reported to the client. */
  submit(client: PoolClient, request: OffloadRequest): void {
    const { limit, callId } = request;
    const entry: Entry = {
      client,
      request,
      limit,
      controller: new AbortController(),
      arrivedMs: performance.now(),
      startedMs: Number.NaN,
      place: -1,
      ticket: 0,
    };
    try {
      if (this.#closed !== undefined) throw stopped();
      this.#scheduler.add(entry);
    } catch (error) {
      const { code, message } = error as SunstarError;
      const outcome = { type: 'failed', code, message } as const;
      client.report({ type: 'offloaded', callId, outcome, waitedMs: 0, ranMs: Number.NaN });
      return;
    }
    const entries = this.#entries.get(client) ?? new Map<number, Entry>();
    this.#entries.set(client, entries.set(callId, entry));
    this.#startWhatCan();
  }

  /** Gives a call up: one that waits is dropped, the thread of one that runs is ended. */
  abort(client: PoolClient, callId: number): void {
    const entry = this.#entries.get(client)?.get(callId);
    if (entry === undefined) return;
    if (this.#scheduler.remove(entry)) this.#finish(entry, { type: 'ended' });
    else entry.controller.abort();
  }

  /** A shard has ended: nothing is done for it any more. */
  drop(client: PoolClient): void {
    const entries = this.#entries.get(client);
    if (entries === undefined) return;
    this.#dropped.add(client);
    for (const callId of [...entries.keys()]) this.abort(client, callId);
    if (entries.size === 0) this.#entries.delete(client);
  }

  /** Ends all threads. Calls that have not ended fail with `SUNSTAR_OFFLOAD_STOPPED`. */
  close(): Promise<void> {
    this.#closed ??= this.#close();
    return this.#closed;
  }

  invariants(): void {
    this.#scheduler.invariants();
    const entries = [...this.#entries.values()].reduce((sum, calls) => sum + calls.size, 0);
    const ok =
      entries === this.#scheduler.running + this.#scheduler.waiting &&
      this.#freePlaces.length + this.#scheduler.running === this.#options.threads;
    if (!ok) throw new SunstarError('SUNSTAR_BROKEN_INVARIANT', 'The offload pool lost count of its calls.');
  }

  async #close(): Promise<void> {
    for (const client of [...this.#entries.keys()]) this.drop(client);
    await this.#piscina.destroy();
    await Promise.all(this.#threads.values());
  }

  #startWhatCan(): void {
    for (let entry = this.#scheduler.start(); entry !== undefined; entry = this.#scheduler.start()) {
      void this.#run(entry);
    }
  }

  async #run(entry: Entry): Promise<void> {
    const { client, request } = entry;
    const place = this.#freePlaces.pop() as number;
    this.#lastTicket = (this.#lastTicket % TICKETS) + 1;
    const ticket = this.#lastTicket;
    entry.startedMs = performance.now();
    entry.place = place;
    entry.ticket = ticket;
    Atomics.store(this.#claims, place, ticket);
    const task: OffloadTask = { ...request, shardId: client.shardId, arena: client.arena, place, ticket };
    let outcome: OffloadOutcome;
    try {
      const running = this.#piscina.run(task, { signal: entry.controller.signal }) as Promise<OffloadAnswer>;
      this.#noteThreads();
      outcome = (await running) ?? { type: 'ended' };
    } catch (error) {
      // The thread may still be reading the arguments: wait for its end before anybody may reuse them.
      const claim = Atomics.compareExchange(this.#claims, place, ticket, 0);
      if (claim < 0) await this.#threads.get(-claim);
      outcome = this.#failure(entry, error);
    }
    Atomics.store(this.#claims, place, 0);
    this.#freePlaces.push(place);
    this.#scheduler.end(entry);
    this.#finish(entry, outcome);
    this.#startWhatCan();
  }

  #failure(entry: Entry, error: unknown): OffloadOutcome {
    if (this.#closed !== undefined) {
      const { code, message } = stopped();
      return { type: 'failed', code, message };
    }
    if (entry.controller.signal.aborted) return { type: 'ended' };
    const { name, module } = entry.request;
    return {
      type: 'failed',
      code: 'SUNSTAR_OFFLOAD_CRASHED',
      message:
        `The thread that ran ${name}() of ${module} ended before it was done: an error outside of the call, ` +
        'process.exit(), or no memory left. A new thread takes its place.',
      cause: toWire(error),
    };
  }

  #finish(entry: Entry, outcome: OffloadOutcome): void {
    const { client, request, arrivedMs, startedMs } = entry;
    const entries = this.#entries.get(client);
    entries?.delete(request.callId);
    if (entries?.size === 0 && this.#dropped.has(client)) this.#entries.delete(client);
    const nowMs = performance.now();
    const waitedMs = (Number.isNaN(startedMs) ? nowMs : startedMs) - arrivedMs;
    client.report({ type: 'offloaded', callId: request.callId, outcome, waitedMs, ranMs: nowMs - startedMs });
  }

  /** Remembers each thread until it has ended, which piscina does not. */
  #noteThreads(): void {
    for (const thread of this.#piscina.threads) {
      const { threadId } = thread;
      if (threadId < 0 || this.#threads.has(threadId)) continue;
      this.#threads.set(threadId, this.#endOf(thread, threadId));
    }
  }

  #endOf(thread: Worker, threadId: number): Promise<void> {
    return new Promise((resolve) => {
      thread.once('exit', () => {
        this.#threads.delete(threadId);
        for (const client of this.#entries.keys()) client.report({ type: 'offloadThreadEnded', threadId });
        resolve();
      });
    });
  }

  #lateReturn({ threadId, shardId, tokens }: LateReturn): void {
    for (const client of this.#entries.keys()) {
      if (client.shardId === shardId) client.report({ type: 'offloadReturned', threadId, tokens });
    }
  }
}

function stopped(): SunstarError {
  return new SunstarError(
    'SUNSTAR_OFFLOAD_STOPPED',
    'The runtime has stopped, and its offload pool with it.',
  );
}
