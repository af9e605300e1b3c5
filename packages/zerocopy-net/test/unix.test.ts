import { randomBytes } from 'node:crypto';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { attach } from '@sunstar/runtime';
import { connect, listen, networkStats } from '@sunstar/zerocopy-net';
import { afterAll, afterEach, describe, expect, test } from 'vitest';
import { leakCheck } from './support/leaks.ts';
import { sha256 } from './support/peer.ts';

const shard = attach({ memory: '64MiB' });
const directory = mkdtempSync(join(tmpdir(), 'sunstar-unix-'));
const nothingIsLeft = await leakCheck(shard);
afterEach(nothingIsLeft);
afterAll(() => rmSync(directory, { recursive: true }));

const PLACES = [
  ['a path', join(directory, 'socket')],
  ['an abstract name', `@sunstar-test-${process.pid}`],
] as const;

describe.each(PLACES)('a Unix socket at %s', (_name, path) => {
  test('carries bytes both ways, and its address is its path', async () => {
    await using listener = await listen({ path }, async (connection) => {
      for await (const line of connection.lines()) await connection.write(`${line}!\n`);
    });
    expect(listener.address).toBe(path);
    expect(listener.port).toBe(0);
    const client = await connect({ path, keepAlive: true, userTimeoutMs: 1000 });
    await client.write('hello\n');
    for await (const line of client.lines()) {
      expect(line).toBe('hello!');
      break;
    }
    expect(client.tcpInfo()).toBeUndefined();
    await client.close();
  });

  test('carries large output, which is copied: the kernel has no zero copy for it', async () => {
    const data = randomBytes(3_000_000);
    const before = networkStats().zeroCopy;
    await using listener = await listen({ path, zeroCopy: 'always' }, async (connection) => {
      await connection.write(data);
    });
    const client = await connect({ path });
    using received = await client.readExactly(data.length);
    expect(sha256(received.toBuffer())).toBe(sha256(data));
    await client.close();
    await listener.close();
    const { zeroCopy } = networkStats();
    expect(zeroCopy.sends).toBe(before.sends);
    expect(zeroCopy.copied.notSupported).toBeGreaterThan(before.copied.notSupported);
  });

  test('is in use while somebody listens, and free afterwards', async () => {
    {
      await using _listener = await listen({ path }, () => {});
      await expect(listen({ path }, () => {})).rejects.toMatchObject({ code: 'SUNSTAR_EADDRINUSE' });
    }
    expect(existsSync(path)).toBe(false);
    await expect(connect({ path })).rejects.toMatchObject({
      code: expect.stringMatching(/SUNSTAR_(ENOENT|ECONNREFUSED)/) as unknown,
      message: expect.stringContaining(path) as unknown,
    });
    await using again = await listen({ path }, () => {});
    expect(again.address).toBe(path);
  });
});

test('paths that cannot be are refused', async () => {
  for (const path of ['', '@', `/${'x'.repeat(200)}`, '/a\0b']) {
    await expect(listen({ path }, () => {})).rejects.toMatchObject({ code: 'SUNSTAR_INVALID_OPTION' });
    await expect(connect({ path })).rejects.toMatchObject({ code: 'SUNSTAR_INVALID_OPTION' });
  }
  await expect(connect({ path: '/x', port: 1 })).rejects.toMatchObject({ code: 'SUNSTAR_INVALID_OPTION' });
  await expect(listen({ path: '/x', port: 1 }, () => {})).rejects.toMatchObject({
    code: 'SUNSTAR_INVALID_OPTION',
  });
  await expect(connect({})).rejects.toMatchObject({ code: 'SUNSTAR_INVALID_OPTION' });
  await expect(listen({}, () => {})).rejects.toMatchObject({ code: 'SUNSTAR_INVALID_OPTION' });
});
