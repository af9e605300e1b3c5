import { readdirSync } from 'node:fs';
import type { ShardContext } from '@sunstar/runtime';
import { listen, networkStats } from '@sunstar/zerocopy-net';
import { nodeClient, readAll, until } from './peer.ts';

/** Idle send tables are kept for the next send: at most 64 of 2 KiB. */
const KEPT_BYTES = 64 * 2048;

function descriptorCount(): number {
  return readdirSync('/proc/self/fd').length;
}

/**
 * Remembers the memory and descriptors in use now.
 *
 * @returns A function that waits until all connections are closed and all of it is back, or never ends.
 */
export async function leakCheck(shard: ShardContext): Promise<() => Promise<void>> {
  // What the package keeps for good exists only after the first connection.
  {
    await using listener = await listen({ port: 0 }, async (connection) => {
      for await (const piece of connection) await connection.write(piece);
    });
    const client = await nodeClient(listener.port);
    client.end('x');
    await readAll(client);
  }
  await until(() => networkStats().open === 0);
  const usedBytes = shard.memory.stats().usedBytes;
  const descriptors = descriptorCount();
  return async () => {
    await until(() => networkStats().open === 0);
    await until(() => networkStats().receiveBuffersFree === networkStats().receiveBufferCount);
    await until(() => networkStats().receivePiecesHeld === 0);
    await until(() => shard.memory.stats().usedBytes - usedBytes <= KEPT_BYTES);
    await until(() => descriptorCount() === descriptors);
  };
}
