import { once } from 'node:events';
import type net from 'node:net';
import { attach } from '@sunstar/runtime';
import {
  type Connection,
  configureNetwork,
  type Listener,
  listen,
  networkStats,
  type ZeroCopyMechanism,
} from '@sunstar/zerocopy-net';
import { checkNetwork, resume, zeroCopyTestHooks } from '@sunstar/zerocopy-net/testing';
import { afterEach, describe, expect, test } from 'vitest';
import { leakCheck } from '../support/leaks.ts';
import { nodeClient, until } from '../support/peer.ts';
import { PoisonedBlocks, verify } from './poisoned.ts';

const BLOCK_BYTES = 65_536;

interface Scene extends AsyncDisposable {
  readonly listener: Listener;
  readonly connection: Connection;
  readonly client: net.Socket;
}

/** How connections end that have zero-copy sends in flight, by one mechanism. */
export async function drainingTests(mechanism: ZeroCopyMechanism): Promise<void> {
  const shard = attach({ memory: '64MiB' });
  configureNetwork({ zeroCopy: { mechanism } });
  const hooks = zeroCopyTestHooks();
  const blocks = new PoisonedBlocks(shard.memory);
  const nothingIsLeft = await leakCheck(shard);
  const counters = () => networkStats().zeroCopy;
  let before = counters();
  afterEach(async () => {
    resume(hooks);
    await nothingIsLeft();
    checkNetwork();
    expect(blocks.held).toBe(0);
    expect(counters()).toMatchObject({ inFlight: 0, heldBytes: 0, draining: 0, wrongNotifications: 0 });
  });

  /** A connection to a peer that does not read, with so many blocks to send. */
  async function scene(blockCount: number, closeTimeoutMs: number): Promise<Scene> {
    before = counters();
    let accepted: Connection | undefined;
    const listener = await listen({ port: 0, zeroCopy: 'always', closeTimeoutMs }, (connection) => {
      accepted = connection;
    });
    const client = await nodeClient(listener.port);
    client.on('error', () => {});
    client.pause();
    await until(() => accepted !== undefined);
    const connection = accepted as Connection;
    connection.pauseReading();
    for (let i = 0; i < blockCount; i++) connection.output.take(blocks.make(i * BLOCK_BYTES, BLOCK_BYTES));
    connection.flush();
    return {
      listener,
      connection,
      client,
      async [Symbol.asyncDispose]() {
        client.destroy();
        await listener.close({ deadlineMs: 0 });
      },
    };
  }

  const inFlight = (): Promise<void> =>
    until(() => counters().inFlight > 0 && counters().sends > before.sends);

  describe(`with sends by ${mechanism} in flight`, () => {
    test('close() waits for the peer, and the descriptor for the notifications', async () => {
      await using s = await scene(20, 10_000);
      hooks.isPaused = true;
      const closed = s.connection.close();
      const verdict = await verify(s.client);
      expect(verdict).toEqual({ receivedBytes: 20 * BLOCK_BYTES, badBytes: 0 });
      s.client.end();
      await until(() => counters().draining === 1);
      expect(s.connection.isClosed).toBe(false);
      expect(blocks.held).toBe(20);
      resume(hooks);
      await closed;
      expect(counters().drains - before.drains).toBe(1);
      expect(counters().forcedDrains).toBe(before.forcedDrains);
      expect(s.connection.error).toBeNull();
    });

    test('the peer gets its FIN while the notifications are still missing', async () => {
      await using s = await scene(10, 3_600_000);
      hooks.isPaused = true;
      // The end of the input is seen before close(): then nothing but the drain sends FIN.
      let peerEnded = false;
      s.connection.receiver = {
        onData() {},
        onEnd() {
          peerEnded = true;
        },
      };
      s.connection.resumeReading();
      const verdict = verify(s.client);
      s.client.end();
      await until(() => peerEnded && s.connection.pendingOutputBytes === 0);
      const closed = s.connection.close();
      expect(await verdict).toEqual({ receivedBytes: 10 * BLOCK_BYTES, badBytes: 0 });
      expect(counters().draining).toBe(1);
      expect(counters().forcedDrains).toBe(before.forcedDrains);
      expect(s.connection.isClosed).toBe(false);
      resume(hooks);
      await closed;
      expect(s.connection.error).toBeNull();
    });

    test('close() ends at its deadline when the peer does not read: all memory is back, none was reused', async () => {
      await using s = await scene(100, 200);
      await inFlight();
      await s.connection.close();
      expect(s.connection.error?.code).toBe('SUNSTAR_CLOSE_TIMEOUT');
      expect(counters().forcedDrains - before.forcedDrains).toBe(1);
      expect(blocks.held).toBe(0);
      const { badBytes } = await verify(s.client);
      expect(badBytes).toBe(0);
    });

    test('close() of a peer that took all but reads nothing ends at its deadline, too', async () => {
      // All of it fits into the buffers of the kernel: only the notifications are missing.
      await using s = await scene(10, 200);
      await until(() => s.connection.pendingOutputBytes === 0);
      hooks.isPaused = true;
      const { client } = s;
      const closed = s.connection.close();
      client.end();
      await until(() => counters().draining === 1);
      await until(() => counters().forcedDrains - before.forcedDrains === 1);
      expect(s.connection.isClosed).toBe(false);
      resume(hooks);
      await closed;
    });

    test('reset() has the kernel let go at once', async () => {
      await using s = await scene(100, 10_000);
      await inFlight();
      s.connection.reset();
      await s.connection.closed;
      expect(counters().forcedDrains - before.forcedDrains).toBe(1);
      expect(counters().notified - before.notified).toBe(counters().sends - before.sends);
      const { badBytes } = await verify(s.client);
      expect(badBytes).toBe(0);
    });

    test("the peer's reset ends all of them", async () => {
      await using s = await scene(100, 10_000);
      await inFlight();
      s.client.resetAndDestroy();
      await s.connection.closed;
      expect(s.connection.error?.code).toMatch(/SUNSTAR_(ECONNRESET|EPIPE)/);
      expect(blocks.held).toBe(0);
    });

    test('an idle peer is reset in the end', async () => {
      await using s = await scene(100, 200);
      await inFlight();
      const closing = s.listener.close({ deadlineMs: 50 });
      await closing;
      expect(s.connection.isClosed).toBe(true);
      expect(blocks.held).toBe(0);
    });

    test('reset() while the descriptor drains does not wait for the deadline', async () => {
      await using s = await scene(10, 3_600_000);
      await until(() => s.connection.pendingOutputBytes === 0 && counters().inFlight > 0);
      hooks.isPaused = true;
      const closed = s.connection.close();
      s.client.end();
      await until(() => counters().draining === 1);
      s.connection.reset();
      expect(counters().forcedDrains - before.forcedDrains).toBe(1);
      resume(hooks);
      await closed;
    });

    test('notifications that were held up are all taken, and an idle connection wakes nobody', async () => {
      await using s = await scene(40, 10_000);
      hooks.isPaused = true;
      const verdict = verify(s.client);
      await until(() => s.connection.pendingOutputBytes === 0);
      const { sends } = counters();
      expect(counters().notified).toBe(before.notified);
      resume(hooks);
      await until(() => counters().inFlight === 0);
      expect(counters().notified - before.notified).toBe(sends - before.sends);
      const { emptyWakeUps } = counters();
      const { ticks } = shard.reactor.stats;
      await new Promise((resolve) => setTimeout(resolve, 300));
      // A poll that repeats itself would come tens of thousands of times.
      expect(shard.reactor.stats.ticks - ticks).toBeLessThan(300);
      expect(counters().emptyWakeUps - emptyWakeUps).toBeLessThan(10);
      void s.connection.close();
      expect((await verdict).badBytes).toBe(0);
      s.client.end();
      await once(s.client, 'close');
    });
  });
}
