import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import http from 'node:http';
import https from 'node:https';
import net from 'node:net';
import type { Readable } from 'node:stream';
import { buffer, text } from 'node:stream/consumers';
import { pipeline } from 'node:stream/promises';
import tls from 'node:tls';
import { attach } from '@sunstar/runtime';
import {
  type Connection,
  type ConnectionDuplex,
  connect,
  type DuplexOptions,
  listen,
  serveWith,
  toDuplex,
} from '@sunstar/zerocopy-net';
import fc from 'fast-check';
import { afterEach, describe, expect, test, vi } from 'vitest';
import { leakCheck } from '../support/leaks.ts';

const shard = attach({ memory: '64MiB' });
const fixture = (name: string): Buffer => readFileSync(new URL(`../fixtures/${name}`, import.meta.url));
const certificate = { key: fixture('localhost.key.pem'), cert: fixture('localhost.cert.pem') };

const nothingIsLeft = await leakCheck(shard);
afterEach(nothingIsLeft);

/** Both ends of a connection. */
async function pair(
  options?: DuplexOptions,
): Promise<{ ours: Connection; stream: ConnectionDuplex; theirs: net.Socket; end(): Promise<void> }> {
  const accepted: Connection[] = [];
  const listener = await listen({ port: 0 }, (connection) => void accepted.push(connection));
  const theirs = net.connect({ port: listener.port, host: '127.0.0.1', allowHalfOpen: true });
  await once(theirs, 'connect');
  await vi.waitUntil(() => accepted.length > 0);
  const stream = toDuplex(accepted[0], options);
  return {
    ours: accepted[0],
    stream,
    theirs,
    end: async () => {
      // What is still open is reset.
      stream.on('error', () => {});
      theirs.destroy();
      await listener.close({ deadlineMs: 0 });
    },
  };
}

/** Every block of 4 KiB and more. */
function takeAllMemory(): number[] {
  const blocks: number[] = [];
  for (let sizeBytes = 2 ** 24; sizeBytes >= 4096; sizeBytes /= 2) {
    for (;;) {
      const block = shard.memory.tryAllocate(sizeBytes);
      if (block < 0) break;
      blocks.push(block);
    }
  }
  return blocks;
}

/** All of the input; unlike an async iterator it leaves the output open. */
async function collect(stream: Readable): Promise<Buffer> {
  const chunks: Buffer[] = [];
  stream.on('data', (chunk: Buffer) => chunks.push(chunk));
  await once(stream, 'end');
  return Buffer.concat(chunks);
}

describe('toDuplex', () => {
  test('carries any chunks in any encoding both ways', async () => {
    const chunk = fc.oneof(
      fc.uint8Array({ minLength: 1, maxLength: 100 }).map((bytes) => Buffer.from(bytes)),
      fc.integer({ min: 30_000, max: 200_000 }).map((size) => Buffer.alloc(size, size)),
      fc.string({ unit: 'grapheme', minLength: 1 }),
    );
    await fc.assert(
      fc.asyncProperty(fc.array(chunk, { maxLength: 20 }), fc.boolean(), async (chunks, corked) => {
        const { stream, theirs, end } = await pair();
        const expected = Buffer.concat(chunks.map((piece) => Buffer.from(piece as string)));
        const echoed = collect(theirs);
        if (corked) stream.cork();
        for (const piece of chunks) stream.write(piece);
        stream.end();
        expect(expected.equals(await echoed)).toBe(true);
        expect(stream.bytesWritten).toBe(expected.length);
        theirs.end(expected);
        expect(expected.equals(await collect(stream))).toBe(true);
        expect(stream.bytesRead).toBe(expected.length);
        await end();
      }),
      { numRuns: 40 },
    );
  });

  test.each(['latin1', 'ascii', 'hex', 'base64', 'utf16le'] as const)('writes %s', async (encoding) => {
    const { stream, theirs, end } = await pair();
    const bytes = Buffer.from('00c3a9ff7f41', 'hex');
    const written = encoding === 'ascii' ? bytes.toString('latin1') : bytes.toString(encoding);
    stream.end(written, encoding);
    expect(await buffer(theirs)).toEqual(bytes);
    await end();
  });

  test('slows a peer down that is not read, and loses nothing', async () => {
    const { stream, theirs, end } = await pair({ highWaterMark: 1000 });
    const sent = Buffer.alloc(4_000_000, 'sunstar');
    const written = pipeline([sent.subarray(0, 2_000_000), sent.subarray(2_000_000)], theirs);
    stream.once('readable', () => {});
    await once(stream, 'readable');
    expect(stream.readableLength).toBeLessThan(200_000);
    expect(sent.equals(await buffer(stream))).toBe(true);
    await written;
    await end();
  });

  test('waits for a peer that does not read, then drains', async () => {
    const { stream, theirs, end } = await pair();
    let writes = 0;
    while (stream.write('x'.repeat(10_000))) writes++;
    // The first is above the mark of the stream only when the connection has stopped to take them.
    expect(writes).toBeGreaterThan(2);
    const drained = once(stream, 'drain');
    theirs.resume();
    await drained;
    await end();
  });

  test('tells of a reset', async () => {
    const { stream, theirs, end } = await pair();
    stream.resume();
    theirs.resetAndDestroy();
    const [error] = await once(stream, 'error');
    expect(error).toMatchObject({ code: 'SUNSTAR_ECONNRESET' });
    await end();
  });

  test.each([undefined, new Error('enough')])('destroy(%s) still sends what was written', async (cause) => {
    const { ours, stream, theirs, end } = await pair();
    stream.on('error', () => {});
    stream.write('last words');
    stream.destroy(cause);
    await new Promise((resolve) => stream.once('close', resolve));
    expect(await text(theirs)).toBe('last words');
    theirs.end();
    await ours.closed;
    await end();
  });

  test('without memory for its output the stream fails, and does not throw where nobody catches', async () => {
    for (const corked of [false, true]) {
      const { stream, theirs, end } = await pair();
      const reset = once(theirs, 'error');
      theirs.resume();
      const blocks = takeAllMemory();
      const failed = once(stream, 'error');
      if (corked) stream.cork();
      for (let i = 0; i < 3; i++) stream.write('x'.repeat(30_000));
      if (corked) stream.uncork();
      for (const block of blocks) shard.memory.free(block);
      expect((await failed)[0]).toMatchObject({ code: 'SUNSTAR_OUT_OF_MEMORY' });
      // Not an end: what arrived is not all.
      expect((await reset)[0]).toMatchObject({ code: 'ECONNRESET' });
      await end();
    }
  });

  test('resetAndDestroy() resets the peer', async () => {
    const { stream, theirs, end } = await pair();
    stream.on('error', () => {});
    stream.resetAndDestroy();
    const [error] = await once(theirs, 'error');
    expect(error).toMatchObject({ code: 'ECONNRESET' });
    await end();
  });

  test('emits timeout when nothing moves, once until something does', async () => {
    const { stream, theirs, end } = await pair();
    stream.resume();
    let timeouts = 0;
    stream.setTimeout(20, () => timeouts++);
    expect(stream.timeout).toBe(20);
    await once(stream, 'timeout');
    expect(timeouts).toBe(1);
    const again = once(stream, 'timeout');
    theirs.write('x');
    await again;
    stream.setTimeout(0);
    expect(() => stream.setTimeout(-1)).toThrow(/timeoutMs/);
    await end();
  });

  test('looks like a net.Socket', async () => {
    const { ours, stream, theirs, end } = await pair();
    expect(stream.remoteAddress).toBe(theirs.localAddress);
    expect(stream.remotePort).toBe(theirs.localPort);
    expect(stream.remoteFamily).toBe('IPv4');
    expect(stream.localPort).toBe(theirs.remotePort);
    expect(stream.address()).toEqual({ address: '127.0.0.1', family: 'IPv4', port: theirs.remotePort });
    expect(stream.readyState).toBe('open');
    expect(stream.setNoDelay().ref().unref()).toBe(stream);
    expect(stream.connection).toBe(ours);
    stream.destroySoon();
    theirs.resume();
    theirs.end();
    await once(stream, 'close');
    expect(stream.readyState).toBe('closed');
    await end();
  });
});

describe('serveWith', () => {
  test('runs node:http: bodies both ways, keep-alive, pipelining', async () => {
    const server = http.createServer((request, response) => {
      response.setHeader('x-path', request.url ?? '');
      request.pipe(response);
    });
    const listener = await serveWith(server, { port: 0 });
    const origin = `http://127.0.0.1:${listener.port}`;
    const body = 'å'.repeat(300_000);
    const answer = await fetch(`${origin}/echo`, { method: 'POST', body });
    expect(answer.headers.get('x-path')).toBe('/echo');
    expect(await answer.text()).toBe(body);

    const agent = new http.Agent({ keepAlive: true, maxSockets: 1 });
    for (let i = 0; i < 20; i++) {
      const request = http.request(`${origin}/${i}`, { agent, method: 'PUT' }).end(`body ${i}`);
      const [response] = (await once(request, 'response')) as [http.IncomingMessage];
      expect(await text(response)).toBe(`body ${i}`);
    }
    expect(listener.stats.accepted).toBe(2);
    agent.destroy();

    const raw = net.connect(listener.port, '127.0.0.1');
    raw.write('GET /a HTTP/1.1\r\nHost: a\r\n\r\nGET /b HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n');
    expect((await text(raw)).match(/x-path: \/[ab]/g)).toEqual(['x-path: /a', 'x-path: /b']);
    server.closeAllConnections();
    await listener.close();
    expect(listener.stats.forcedCloses).toBe(0);
  });

  test('runs node:http with its time limits', async () => {
    const server = http.createServer({ connectionsCheckingInterval: 20, headersTimeout: 60 });
    const listener = await serveWith(server, { port: 0 });
    const slow = net.connect(listener.port, '127.0.0.1');
    slow.write('GET / HTTP/1.1\r\nHo');
    expect(await text(slow)).toContain('408 Request Timeout');
    await listener.close();
    expect(listener.stats.forcedCloses).toBe(0);
  });

  test('runs node:https and node:tls, and an http client', async () => {
    const server = https.createServer(certificate, (request, response) =>
      response.end(`secret ${request.url}`),
    );
    const listener = await serveWith(server, { port: 0 });
    const request = https.get({
      port: listener.port,
      host: '127.0.0.1',
      path: '/x',
      rejectUnauthorized: false,
    });
    const [response] = (await once(request, 'response')) as [http.IncomingMessage];
    expect(await text(response)).toBe('secret /x');

    // Both ends on the ring.
    const socket = tls.connect({
      socket: toDuplex(await connect({ port: listener.port }), { allowHalfOpen: false }),
      rejectUnauthorized: false,
    });
    socket.write('GET /y HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n');
    expect(await text(socket)).toContain('secret /y');

    const plain = http.createServer((_, answer) => answer.end('plain'));
    const plainListener = await serveWith(plain, { port: 0 });
    const duplex = toDuplex(await connect({ port: plainListener.port }));
    const viaOurs = http.get({ createConnection: () => duplex, path: '/' });
    const [plainResponse] = (await once(viaOurs, 'response')) as [http.IncomingMessage];
    expect(await text(plainResponse)).toBe('plain');
    await plainListener.close();
    await listener.close();
  });
});
