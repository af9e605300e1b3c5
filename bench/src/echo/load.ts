// Sends framed messages over many connections and keeps so many of them unanswered on each. Arguments: port,
// connections, pipeline, milliseconds before and during the measurement. Prints "begin" when that starts, then JSON.
import { createHistogram } from 'node:perf_hooks';
import { attach } from '@sunstar/runtime';
import { type Connection, connect, type Receiver } from '@sunstar/zerocopy-net';
import { MESSAGE_BYTES, makeMessage } from './frame.js';

/** What {@link main} prints. */
export interface LoadResult {
  readonly messages: number;
  readonly seconds: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
}

const latencies = createHistogram({ highest: 10_000_000_000, figures: 3 });
let messages = 0;
let isMeasuring = false;
let isEnding = false;

/** One connection: when each unanswered message was sent, in a ring. */
class Client implements Receiver {
  readonly #sentAt: Float64Array;
  readonly #message: Uint8Array = makeMessage();
  #oldest = 0;
  #partialBytes = 0;

  constructor(pipeline: number) {
    this.#sentAt = new Float64Array(pipeline);
  }

  begin(connection: Connection): void {
    const now = performance.now();
    for (let i = 0; i < this.#sentAt.length; i++) {
      this.#sentAt[i] = now;
      connection.output.append(this.#message);
    }
    connection.flush();
  }

  onData(connection: Connection, _offset: number, length: number): void {
    const received = this.#partialBytes + length;
    const count = Math.floor(received / MESSAGE_BYTES);
    this.#partialBytes = received - count * MESSAGE_BYTES;
    if (isEnding) return;
    const now = performance.now();
    const sentAt = this.#sentAt;
    for (let i = 0; i < count; i++) {
      if (isMeasuring) latencies.record(Math.max(1, Math.round((now - sentAt[this.#oldest]) * 1e6)));
      sentAt[this.#oldest] = now;
      if (++this.#oldest === sentAt.length) this.#oldest = 0;
      connection.output.append(this.#message);
    }
    messages += count;
    if (count > 0) connection.flush();
  }
}

async function main(): Promise<void> {
  const [port, connections, pipeline, warmUpMs, durationMs] = process.argv.slice(2).map(Number);
  attach({ memory: '256MiB', log: 'error' });
  const all: Connection[] = [];
  for (let i = 0; i < connections; i++) all.push(await connect({ port }));
  for (const connection of all) {
    const client = new Client(pipeline);
    connection.receiver = client;
    client.begin(connection);
  }
  const sleep = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));
  await sleep(warmUpMs);
  console.log('begin');
  messages = 0;
  isMeasuring = true;
  const startedAt = performance.now();
  await sleep(durationMs);
  const seconds = (performance.now() - startedAt) / 1000;
  isMeasuring = false;
  const result: LoadResult = {
    messages,
    seconds,
    p50Ms: latencies.percentile(50) / 1e6,
    p99Ms: latencies.percentile(99) / 1e6,
  };
  console.log(JSON.stringify(result));
  isEnding = true;
  await Promise.all(all.map((connection) => connection.close()));
  process.exit(0);
}

await main();
