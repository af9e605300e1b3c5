import fs from 'node:fs';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { infoValue, RawClient, resp, ServerProcess, temporaryDirectory } from './support.ts';

describe.each([1, 2])('bad input, %i shards', (shards) => {
  let data: string;
  let server: ServerProcess;
  const clients: RawClient[] = [];

  beforeAll(async () => {
    data = temporaryDirectory();
    server = await ServerProcess.start({
      data,
      shards,
      args: [
        '--max-value',
        '1MiB',
        '--max-request',
        '2MiB',
        '--max-output',
        '64KiB',
        '--client-output-timeout',
        '2',
      ],
    });
    const client = await connect();
    client.send(resp('SET', 'witness', 'alive'));
    await client.expect('+OK\r\n');
  });
  afterEach(async () => {
    // Whatever a client did: the server lives, and nothing is lost.
    const client = await connect();
    client.send(resp('GET', 'witness'));
    await client.expect('$5\r\nalive\r\n');
    for (const one of clients.splice(0)) one.close();
  });
  afterAll(async () => {
    expect(await server.stop(), server.output.stderr).toBe(0);
    fs.rmSync(data, { recursive: true });
  });

  async function connect(): Promise<RawClient> {
    const client = await RawClient.connect(server.port);
    clients.push(client);
    return client;
  }

  async function info(name: string): Promise<number> {
    const client = await connect();
    client.send(`${resp('INFO')}${resp('QUIT')}`);
    return Number(infoValue(await client.rest(), name));
  }

  it.each([
    ['a negative count', '*-5\r\n*1\r\n$4\r\nPING\r\n', '+PONG\r\n'],
    ['a negative length', '*1\r\n$-1\r\n', '-ERR Protocol error: invalid bulk length\r\n'],
    ['an absurd length', '*1\r\n$99999999999\r\n', '-ERR Protocol error: invalid bulk length\r\n'],
    ['a value over the limit', '*1\r\n$2000000\r\n', '-ERR Protocol error: invalid bulk length\r\n'],
    ['a count over the limit', '*99999999\r\n', '-ERR Protocol error: invalid multibulk length\r\n'],
    ['an absurd count', '*-99999999999999999999\r\n', '-ERR Protocol error: invalid multibulk length\r\n'],
    ['a count that is none', '*abc\r\n', '-ERR Protocol error: invalid multibulk length\r\n'],
    ['no bulk', '*1\r\n!4\r\nPING\r\n', "-ERR Protocol error: expected '$', got '!'\r\n"],
    ['a bulk of another length', '*1\r\n$4\r\nPINGxx', '-ERR Protocol error: expected CRLF after a bulk\r\n'],
    ['open quotes', 'set "open\r\n', '-ERR Protocol error: unbalanced quotes in request\r\n'],
    ['an endless line', 'a'.repeat(70_000), '-ERR Protocol error: too big inline request\r\n'],
  ])('answers %s, and closes if it must', async (_what, input, answer) => {
    const client = await connect();
    client.send(input);
    await client.expect(answer);
    if (answer.startsWith('-')) expect(await client.rest()).toBe('');
  });

  it('answers what came before a protocol error', async () => {
    const client = await connect();
    client.send(
      `${resp('SET', 'a', '1')}${resp('GET', 'a')}${resp('MGET', 'a', 'b', 'c')}*x\r\n${resp('PING')}`,
    );
    const answer =
      '+OK\r\n$1\r\n1\r\n*3\r\n$1\r\n1\r\n$-1\r\n$-1\r\n-ERR Protocol error: invalid multibulk length\r\n';
    await client.expect(answer);
    expect(await client.rest()).toBe('');
  });

  it('refuses a command that is too long as a whole', async () => {
    const client = await connect();
    const value = 'x'.repeat(900_000);
    client.send(resp('MSET', 'a', value, 'b', value, 'c', value));
    await client.expect('-ERR Protocol error: too big request\r\n');
  });

  it('refuses a value that becomes too long', async () => {
    const client = await connect();
    client.send(resp('SET', 'grow', 'x'.repeat(1_000_000)));
    await client.expect('+OK\r\n');
    client.send(resp('APPEND', 'grow', 'x'.repeat(100_000)));
    expect(await client.line()).toMatch(/^-ERR string exceeds maximum allowed size/);
    client.send(resp('SETRANGE', 'grow', '99999999', 'x'));
    expect(await client.line()).toMatch(/^-ERR string exceeds maximum allowed size/);
    client.send(resp('STRLEN', 'grow'));
    await client.expect(':1000000\r\n');
  });

  it('refuses unknown commands, wrong numbers of arguments, and goes on', async () => {
    const client = await connect();
    client.send(
      `${resp('NONSENSE', 'a')}${resp('GET')}${resp('SET', 'a')}${resp('MSET', 'a', '1', 'b')}nonsense\r\n`,
    );
    expect(await client.line()).toMatch(/^-ERR unknown command 'NONSENSE'/);
    expect(await client.line()).toBe("-ERR wrong number of arguments for 'get' command");
    expect(await client.line()).toBe("-ERR wrong number of arguments for 'set' command");
    expect(await client.line()).toBe("-ERR wrong number of arguments for 'mset' command");
    expect(await client.line()).toMatch(/^-ERR unknown command 'nonsense'/);
    client.send('PING\r\n');
    await client.expect('+PONG\r\n');
  });

  it('survives random bytes', async () => {
    let state = 42;
    for (let round = 0; round < 40; round++) {
      const bytes = Buffer.alloc(2000);
      for (let at = 0; at < bytes.length; at++) {
        state = (Math.imul(state, 1_103_515_245) + 12_345) >>> 0;
        bytes[at] = state >>> 16;
      }
      const client = await connect();
      client.send(Buffer.concat([Buffer.from(round % 2 === 0 ? '*3\r\n$3\r\n' : ''), bytes]));
      client.socket.end();
      await client.rest();
    }
  });

  it('takes a command byte by byte, and two hundred in one piece', async () => {
    const client = await connect();
    client.socket.setNoDelay(true);
    for (const byte of resp('SET', 'bytes', 'one by one')) {
      client.send(Buffer.from([byte]));
      await new Promise((resolve) => setImmediate(resolve));
    }
    await client.expect('+OK\r\n');
    client.send(
      Buffer.concat(Array.from({ length: 200 }, (_, i) => resp('SETRANGE', 'bytes', String(i), 'x'))),
    );
    for (let i = 0; i < 200; i++) await client.expect(`:${Math.max(10, i + 1)}\r\n`);
  });

  it('sends the replies to a client that ends its side first', async () => {
    const client = await connect();
    client.send('PING\r\nGET witness\r\nMGET witness a b c d e f\r\nDBSI');
    client.socket.end();
    expect(await client.rest()).toMatch(/^\+PONG\r\n\$5\r\nalive\r\n\*7\r\n/);
  });

  it('bounds what it keeps for a client that never reads, and closes it', async () => {
    const setter = await connect();
    setter.send(resp('SET', 'large', 'x'.repeat(1_000_000)));
    await setter.expect('+OK\r\n');
    const before = await info('client_output_timeout_disconnections');
    const client = await connect();
    client.socket.pause();
    for (let i = 0; i < 500; i++) client.send(resp('GET', 'large'));
    await expect
      .poll(() => info('client_output_timeout_disconnections'), { timeout: 10_000, interval: 100 })
      .toBe(before + 1);
    expect(await info('arena_used')).toBeLessThan(shards * 128 * 1024 * 1024 * 0.5);
    expect(await info('backpressure_pauses')).toBeGreaterThanOrEqual(0);
  });

  it('serves a slow reader everything', async () => {
    const client = await connect();
    client.send(resp('SET', 'slow', 'y'.repeat(500_000)));
    await client.expect('+OK\r\n');
    client.socket.pause();
    for (let i = 0; i < 30; i++) client.send(resp('GET', 'slow'));
    for (let step = 0; step < 5; step++) {
      await new Promise((resolve) => setTimeout(resolve, 30));
      client.socket.resume();
      await new Promise((resolve) => setTimeout(resolve, 5));
      client.socket.pause();
    }
    client.socket.resume();
    for (let i = 0; i < 30; i++) await client.expect(`$500000\r\n${'y'.repeat(500_000)}\r\n`);
  });
});
