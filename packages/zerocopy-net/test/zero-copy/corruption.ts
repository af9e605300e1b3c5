import { attach } from '@sunstar/runtime';
import {
  type Connection,
  configureNetwork,
  listen,
  networkStats,
  type ZeroCopyMechanism,
} from '@sunstar/zerocopy-net';
import { checkNetwork, zeroCopyTestHooks } from '@sunstar/zerocopy-net/testing';
import { afterEach, describe, expect, test } from 'vitest';
import { leakCheck } from '../support/leaks.ts';
import { nodeClient, until } from '../support/peer.ts';
import { PoisonedBlocks, type Verdict, verify } from './poisoned.ts';

const BLOCK_BYTES = 65_536;
const BLOCKS = 96;
const TOTAL_BYTES = BLOCK_BYTES * BLOCKS;

/** How the peer is reached: where we listen, and where it connects to. */
const WAYS = [
  ['IPv4', '127.0.0.1', '127.0.0.1'],
  ['IPv6', '::1', '::1'],
  ['IPv4 mapped into IPv6', '::ffff:127.0.0.1', '127.0.0.1'],
] as const;

/**
 * The tests of one mechanism; each runs in a process of its own, without forking one before it sends.
 *
 * @param rounds - How often each way is gone.
 */
export async function corruptionTests(mechanism: ZeroCopyMechanism, rounds = 1): Promise<void> {
  const shard = attach({ memory: '64MiB' });
  configureNetwork({ zeroCopy: { mechanism } });
  const hooks = zeroCopyTestHooks();
  const blocks = new PoisonedBlocks(shard.memory);
  const nothingIsLeft = await leakCheck(shard);
  afterEach(async () => {
    hooks.isPaused = false;
    hooks.releasesEarly = false;
    hooks.sequenceBase = 0;
    await nothingIsLeft();
    checkNetwork();
    expect(blocks.held).toBe(0);
    const { zeroCopy } = networkStats();
    expect(zeroCopy).toMatchObject({ inFlight: 0, heldBytes: 0, draining: 0, wrongNotifications: 0 });
  });

  /** Sends a stream to a peer that begins to read only when the kernel has taken all it takes. */
  async function sendToSlowPeer(host: string, peerHost: string): Promise<Verdict> {
    let connection: Connection | undefined;
    await using listener = await listen({ host, port: 0, zeroCopy: 'always' }, (accepted) => {
      connection = accepted;
      for (let i = 0; i < BLOCKS; i++) accepted.output.take(blocks.make(i * BLOCK_BYTES, BLOCK_BYTES));
      accepted.flush();
      void accepted.close();
    });
    const before = networkStats().zeroCopy.sends;
    const client = await nodeClient(listener.port, peerHost);
    client.pause();
    // No send completes any more: the peer's window and our socket's buffer are full.
    let bytesOut = -1;
    await until(() => networkStats().zeroCopy.sends > before);
    while (bytesOut !== listener.stats.bytesOut) {
      bytesOut = listener.stats.bytesOut;
      await new Promise((resolve) => setTimeout(resolve, 30));
    }
    expect(bytesOut).toBeLessThan(TOTAL_BYTES);
    const verdict = await verify(client);
    client.end();
    await connection?.closed;
    return verdict;
  }

  describe(`memory of sends by ${mechanism}`, () => {
    for (const [name, host, peerHost] of WAYS) {
      test(`is not reused before the peer has it: ${name}`, async () => {
        for (let round = 0; round < rounds; round++) {
          const { notified, sends } = networkStats().zeroCopy;
          expect(await sendToSlowPeer(host, peerHost)).toEqual({ receivedBytes: TOTAL_BYTES, badBytes: 0 });
          const { zeroCopy } = networkStats();
          expect(zeroCopy.mechanism).toBe(mechanism);
          expect(zeroCopy.sends - sends).toBeGreaterThan(1);
          expect(zeroCopy.notified - notified).toBe(zeroCopy.sends - sends);
        }
      });

      test(`this test notices memory that is: ${name}`, async () => {
        hooks.releasesEarly = true;
        const { receivedBytes, badBytes } = await sendToSlowPeer(host, peerHost);
        expect(receivedBytes).toBe(TOTAL_BYTES);
        expect(badBytes).toBeGreaterThan(BLOCK_BYTES);
      });
    }

    test('is not reused when the numbers of the sends wrap', async () => {
      hooks.sequenceBase = 2 ** 32 - 1;
      const { badBytes } = await sendToSlowPeer('127.0.0.1', '127.0.0.1');
      expect(badBytes).toBe(0);
    });
  });
}
