// The entry module of the shards: shard 0 measures calls to shard 1 when the main thread asks for it.
import { BroadcastChannel } from 'node:worker_threads';
import type { ShardContext } from '@sunstar/runtime';
import { callsPerSecond, latencyUs, messagesPerSecond } from './load.js';

/** What the main thread asks for. */
export type Request =
  | { readonly kind: 'latency'; readonly calls?: number }
  | { readonly kind: 'calls'; readonly outstanding: number }
  | { readonly kind: 'messages' };

/** What it gets. */
export type Answer = { readonly result: number | [number, number] } | { readonly error: string };

class Adder {
  sum = 0;

  add(left: number, right: number): number {
    return left + right;
  }
  note(value: number): void {
    this.sum += value;
  }
}

export default async function main(shard: ShardContext): Promise<void> {
  const adders = await shard.sharded('adder', Adder);
  if (shard.id !== 0) return;
  const remote = adders.on(1);
  const call = (value: number): Promise<number> => remote.add(value, 1);
  const channel = new BroadcastChannel(shard.data as string);
  shard.onStop(() => channel.close());
  const oneWay = adders.notify(1);
  const send = (value: number): void => oneWay.note(value);
  const measure = (request: Request): Promise<number | [number, number]> => {
    switch (request.kind) {
      case 'latency':
        return latencyUs(call, request.calls);
      case 'calls':
        return callsPerSecond(call, request.outstanding);
      case 'messages':
        return messagesPerSecond(send, call);
    }
  };
  const answer = async (request: Request): Promise<Answer> => {
    try {
      return { result: await measure(request) };
    } catch (error) {
      return { error: String(error) };
    }
  };
  channel.onmessage = (event): void => {
    void answer((event as { data: Request }).data).then((message) => channel.postMessage(message));
  };
}
