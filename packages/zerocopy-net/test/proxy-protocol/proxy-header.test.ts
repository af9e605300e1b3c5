import { attach } from '@sunstar/runtime';
import { connect, listen, proxyHeader } from '@sunstar/zerocopy-net';
import fc from 'fast-check';
import { afterEach, describe, expect, test } from 'vitest';
import {
  bodyBytes,
  FIXED_BYTES,
  parseBinaryHeader,
  parseTextHeader,
} from '../../src/proxy-protocol/header.ts';
import { leakCheck } from '../support/leaks.ts';

const shard = attach({ memory: '64MiB', log: 'silent' });
const nothingIsLeft = await leakCheck(shard);
afterEach(nothingIsLeft);

const port = fc.integer({ min: 0, max: 65_535 });
/** As the kernel writes it. */
const v6 = fc
  .array(fc.integer({ min: 0x1001, max: 0xffff }), { minLength: 8, maxLength: 8 })
  .map((groups) => groups.map((group) => group.toString(16)).join(':'));

function read(header: Uint8Array): unknown {
  if (header[0] === 80) return parseTextHeader(Buffer.from(header).toString().slice(0, -2));
  const body = header.subarray(FIXED_BYTES);
  expect(bodyBytes(header.subarray(0, FIXED_BYTES))).toBe(body.length);
  return parseBinaryHeader(header.subarray(0, FIXED_BYTES), body);
}

describe.each([1, 2] as const)('a header of version %i', (version) => {
  test('is read as it was written', () => {
    for (const ip of [fc.ipV4(), v6]) {
      const client = fc.record({ remoteAddress: ip, remotePort: port, localAddress: ip, localPort: port });
      fc.assert(
        fc.property(client, (addresses) => {
          expect(read(proxyHeader(addresses, version))).toEqual(addresses);
        }),
      );
    }
  });

  test('says nothing without addresses', () => {
    expect(read(proxyHeader({}, version))).toBeNull();
    expect(read(proxyHeader({ remoteAddress: '192.0.2.1' }, version))).toBeNull();
  });

  test('writes IPv4 behind an IPv6 socket as IPv4, beside IPv6 as IPv6, and no device', () => {
    const mapped = { remoteAddress: '::ffff:192.0.2.1', localAddress: '::ffff:192.0.2.2' };
    expect(read(proxyHeader(mapped, version))).toMatchObject({
      remoteAddress: '192.0.2.1',
      localAddress: '192.0.2.2',
    });
    const mixed = { remoteAddress: '192.0.2.1', localAddress: 'fe80::1%eth0' };
    const { remoteAddress, localAddress } = read(proxyHeader(mixed, version)) as Record<string, string>;
    expect(new URL(`http://[${remoteAddress}]`).hostname).toBe('[::ffff:c000:201]');
    expect(localAddress).toBe('fe80::1');
  });

  test('refuses what is no address', () => {
    for (const wrong of [
      { remoteAddress: 'localhost', localAddress: '192.0.2.1' },
      { remoteAddress: '::1', localAddress: 'x' },
      { remoteAddress: '192.0.2.1', localAddress: '192.0.2.1', localPort: 65_536 },
    ]) {
      expect(() => proxyHeader(wrong, version)).toThrowError(
        expect.objectContaining({ code: 'SUNSTAR_INVALID_OPTION' }),
      );
    }
  });

  test('tells the server behind a proxy of ours who its client is', async () => {
    await using server = await listen({ port: 0, proxyProtocol: true }, async (connection) => {
      await connection.write(`${connection.remotePort} ${connection.localPort}`);
      connection.end();
    });
    await using proxy = await listen({ port: 0 }, async (connection) => {
      await using behind = await connect({ port: server.port });
      await behind.write(proxyHeader(connection, version));
      for await (const piece of behind) await connection.write(piece);
      connection.end();
    });
    await using client = await connect({ port: proxy.port });
    let answer = '';
    for await (const piece of client) answer += piece.toString();
    expect(answer).toBe(`${client.localPort} ${proxy.port}`);
  });
});
