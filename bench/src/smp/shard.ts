// The entry module of the shards: shard 0 measures calls to shard 1 when the main thread asks for it.
import { BroadcastChannel } from 'node:worker_threads';
import type { ShardContext } from '@sunstar/runtime';
import { callsPerSecond, latencyUs } from './load.js';

/** What the main thread asks for. */
export interface Request {
  /** Calls that are outstanding at a time; 1 measures latency, more measure the rate. */
  readonly outstanding: number;
  /** Calls of a latency measurement. */
  readonly calls?: number;
}

/** What it gets. */
export type Answer = { readonly result: number | [number, number] } | { readonly error: string };

class Adder {
  add(left: number, right: number): number {
    return left + right;
  }
}

export default async function main(shard: ShardContext): Promise<void> {
  const adders = await shard.sharded('adder', Adder);
  if (shard.id !== 0) return;
  const remote = adders.on(1);
  const call = (value: number): Promise<number> => remote.add(value, 1);
  const channel = new BroadcastChannel(shard.data as string);
  shard.onStop(() => channel.close());
  const answer = async ({ outstanding, calls }: Request): Promise<Answer> => {
    try {
      const result = outstanding === 1 ? latencyUs(call, calls) : callsPerSecond(call, outstanding, true);
      return { result: await result };
    } catch (error) {
      return { error: String(error) };
    }
  };
  channel.onmessage = (event): void => {
    void answer((event as { data: Request }).data).then((message) => channel.postMessage(message));
  };
}
