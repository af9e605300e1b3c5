import { once } from 'node:events';
import { BroadcastChannel, Worker } from 'node:worker_threads';
import { native } from '@sunstar/native';
import { allowedCpus, Runtime } from '@sunstar/runtime';
import { Piscina } from 'piscina';
import type { Benchmark, BenchmarkCase, Measurement, Metric, Peer } from './harness/benchmark.js';
import { type Call, callsPerSecond, latencyUs, messagesPerSecond } from './smp/load.js';
import type { Answer, Request } from './smp/shard.js';
import type { Envelope } from './smp/worker.js';

// Peers: what Node has for a call to another thread. Both are asked by the main thread and answered by one worker.
// Where the system puts their threads matters as much as their code: on one core they wake each other in a third
// of the time that it takes across cores, but cannot work at the same time. So they are measured twice: where the
// system puts them, and pinned to the two cores that the shards are pinned to.
const [FIRST_CPU, SECOND_CPU] = allowedCpus();
const MANY = 256;
/** Sleeping threads take tens of microseconds for a call. */
const SLEEPY_CALLS = 4000;

/** Two shards, of which the first calls the second. */
class Shards {
  readonly #runtime: Runtime;
  readonly #channel: BroadcastChannel;

  private constructor(runtime: Runtime, channel: BroadcastChannel) {
    this.#runtime = runtime;
    this.#channel = channel;
  }

  static async start(name: string, idlePollUs: number): Promise<Shards> {
    const channel = new BroadcastChannel(name);
    const entry = new URL('./smp/shard.js', import.meta.url);
    const runtime = await Runtime.start({
      entry,
      shards: 2,
      memory: '64MiB',
      idlePollUs,
      data: name,
      log: 'warn',
    });
    return new Shards(runtime, channel);
  }

  async measure(request: Request): Promise<Measurement> {
    const answered = new Promise<Answer>((resolve) => {
      this.#channel.onmessage = (event) => resolve((event as { data: Answer }).data);
    });
    this.#channel.postMessage(request);
    const answer = await answered;
    if ('error' in answer) throw new Error(answer.error);
    return answer.result;
  }

  async stop(): Promise<void> {
    this.#channel.close();
    await this.#runtime.stop();
  }
}

/** Calls of one worker with postMessage and a promise each: what one writes by hand. */
function rawCalls(worker: Worker): Call {
  const waiting = new Map<number, (value: number) => void>();
  let nextId = 0;
  worker.on('message', ({ id, left }: Envelope) => {
    if (id === undefined) return;
    waiting.get(id)?.(left);
    waiting.delete(id);
  });
  return (left) =>
    new Promise((resolve) => {
      const id = nextId++;
      waiting.set(id, resolve);
      worker.postMessage({ id, left, right: 1 } satisfies Envelope);
    });
}

const latencyMetrics = (what: string): Metric[] => [
  { case: `${what}, p50`, unit: 'µs', higherIsBetter: false },
  { case: `${what}, p99`, unit: 'µs', higherIsBetter: false },
];

/** Runs a measurement with the main thread on one CPU, and lets it go again. */
async function pinned<R>(measure: () => Promise<R>): Promise<R> {
  native.pinThread([FIRST_CPU]);
  try {
    return await measure();
  } finally {
    native.pinThread(allowedCpus());
  }
}

/** A worker asked with postMessage, and one of piscina's; `cpu` pins their threads. */
async function startPeers(cpu: number | undefined) {
  const worker = new Worker(new URL('./smp/raw-worker.js', import.meta.url), { workerData: { cpu } });
  await once(worker, 'online');
  const pool = new Piscina<{ left: number; right: number }, number>({
    filename: new URL('./smp/worker.js', import.meta.url).href,
    minThreads: 1,
    maxThreads: 1,
    concurrentTasksPerWorker: MANY,
    workerData: { cpu },
  });
  const pooled: Call = (left) => pool.run({ left, right: 1 });
  const raw = rawCalls(worker);
  const send = (left: number): void => worker.postMessage({ left, right: 1 } satisfies Envelope);
  const calls: [string, Call][] = [
    ['postMessage', raw],
    ['piscina', pooled],
  ];
  const where = cpu === undefined ? '' : ', pinned like ours';
  const asPeer = (peer: string, measure: () => Promise<Measurement>): Peer => ({
    peer: `${peer}${where}`,
    measure: () => (cpu === undefined ? measure() : pinned(measure)),
  });
  return {
    peers(measure: (call: Call) => Promise<Measurement>): Peer[] {
      return calls.map(([peer, call]) => asPeer(peer, () => measure(call)));
    },
    oneWay(): Peer {
      return asPeer('postMessage', () => messagesPerSecond(send, raw));
    },
    async stop(): Promise<void> {
      await Promise.all([pool.destroy(), worker.terminate()]);
    },
  };
}

const benchmark: Benchmark = {
  description: 'a call to another shard and its answer, with promises, against postMessage and piscina',
  async prepare() {
    const free = await startPeers(undefined);
    const fixed = await startPeers(SECOND_CPU);
    const peers = (measure: (call: Call) => Promise<Measurement>): Peer[] => [
      ...fixed.peers(measure),
      ...free.peers(measure),
    ];
    // The default: an idle shard looks for work for 200 µs, then it sleeps, and leaves its core to the peers.
    const polling = await Shards.start('sunstar-bench-smp-polling', 200);
    const sleepy = await Shards.start('sunstar-bench-smp-sleepy', 0);
    const cases: BenchmarkCase[] = [
      {
        metrics: latencyMetrics('call and answer, 1 outstanding'),
        ours: () => polling.measure({ kind: 'latency' }),
        peers: peers((call) => latencyUs(call)),
      },
      {
        metrics: [{ case: `calls, ${MANY} outstanding`, unit: 'calls/s', higherIsBetter: true }],
        ours: () => polling.measure({ kind: 'calls', outstanding: MANY }),
        peers: peers((call) => callsPerSecond(call, MANY)),
      },
      {
        metrics: [{ case: 'one-way messages, bursts of 64', unit: 'messages/s', higherIsBetter: true }],
        ours: () => polling.measure({ kind: 'messages' }),
        peers: [fixed.oneWay(), free.oneWay()],
      },
      {
        metrics: latencyMetrics('call and answer, shards that never poll'),
        ours: () => sleepy.measure({ kind: 'latency', calls: SLEEPY_CALLS }),
        peers: peers((call) => latencyUs(call, SLEEPY_CALLS)),
      },
    ];
    return {
      cases,
      async teardown() {
        await Promise.all([polling.stop(), sleepy.stop(), free.stop(), fixed.stop()]);
      },
    };
  },
};

export default benchmark;
