import { attach } from '@sunstar/runtime';
import { listen } from '@sunstar/zerocopy-net';
import { afterEach, expect, test } from 'vitest';
import { SIGNATURE } from '../../src/proxy-protocol/header.ts';
import { leakCheck } from '../support/leaks.ts';
import { nodeClient, outcome, readAll } from '../support/peer.ts';

const shard = attach({ memory: '64MiB', log: 'silent' });
const nothingIsLeft = await leakCheck(shard);
afterEach(nothingIsLeft);

const V2 = Buffer.from([
  ...SIGNATURE,
  ...[0x21, 0x11, 0, 15, 192, 0, 2, 7, 10, 0, 0, 1, 0x30, 0x39, 0x00, 0x50],
  ...[4, 0, 0],
]);

/** Sends pieces one after the other, and gives the answer. */
async function ask(port: number, pieces: readonly (string | Buffer)[]): Promise<string> {
  const client = await nodeClient(port);
  const answer = readAll(client).catch((error: NodeJS.ErrnoException) => error.code ?? '');
  for (const piece of pieces) {
    client.write(piece);
    await new Promise((resolve) => setImmediate(resolve));
  }
  client.end();
  return (await answer).toString();
}

test('the handler sees the address of the proxy’s client, and all that comes behind the header', async () => {
  await using listener = await listen({ port: 0, proxyProtocol: true }, async (connection) => {
    const { remoteAddress, remotePort, localAddress, localPort } = connection;
    await connection.write(`${remoteAddress} ${remotePort} ${localAddress} ${localPort}:`);
    for await (const piece of connection) await connection.write(piece);
  });
  const { port } = listener;
  const expected = '192.0.2.7 12345 10.0.0.1 80:hello';
  const text = 'PROXY TCP4 192.0.2.7 10.0.0.1 12345 80\r\n';
  expect(await ask(port, [`${text}hello`])).toBe(expected);
  expect(await ask(port, [...text, 'hello'])).toBe(expected);
  expect(await ask(port, [V2, 'hello'])).toBe(expected);
  expect(await ask(port, [...V2].map((byte) => Buffer.of(byte)).concat(Buffer.from('hello')))).toBe(expected);
  expect(await ask(port, ['PROXY UNKNOWN\r\nhello'])).toMatch(/^127\.0\.0\.1 \d+ 127\.0\.0\.1 \d+:hello$/);
});

test('a receiver gets what came with the header', async () => {
  await using listener = await listen({ port: 0, proxyProtocol: true }, (connection) => {
    connection.receiver = {
      onData(c, offset, length) {
        c.output.appendRange(offset, length);
        c.flush();
      },
    };
  });
  expect(await ask(listener.port, [V2, 'hello ', 'again'])).toBe('hello again');
});

test('a connection without a header, or with half of one, is reset', async () => {
  await using listener = await listen({ port: 0, proxyProtocol: true, proxyHeaderTimeoutMs: 50 }, () =>
    expect.unreachable('the handler must not be called'),
  );
  for (const bytes of ['GET / HTTP/1.1\r\n\r\n', `PROXY TCP4 ${'1'.repeat(200)}`, 'PROXY TCP4 a b c d\r\n']) {
    const client = await nodeClient(listener.port);
    client.write(bytes);
    expect(await outcome(client)).toBe('ECONNRESET');
  }
  const slow = await nodeClient(listener.port);
  slow.write('PROX');
  expect(await outcome(slow)).toBe('ECONNRESET');
});
