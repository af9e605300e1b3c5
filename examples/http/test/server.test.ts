import { once } from 'node:events';
import http from 'node:http';
import net from 'node:net';
import { text } from 'node:stream/consumers';
import { serveHttp } from '@sunstar/example-http';
import { IOBuf } from '@sunstar/iobuf';
import { attach } from '@sunstar/runtime';
import { networkStats } from '@sunstar/zerocopy-net';
import fc from 'fast-check';
import { afterAll, describe, expect, test } from 'vitest';

const shard = attach({ memory: '64MiB' });
afterAll(() => {
  expect(networkStats().open).toBe(0);
  shard.memory.invariants();
});

const TEXT = { 'Content-Type': 'text/plain' };

/** Sends bytes in pieces, ends, and gives all that comes back. */
async function exchange(port: number, ...pieces: string[]): Promise<string> {
  const socket = net.connect({ port, host: '127.0.0.1', noDelay: true });
  socket.on('error', () => {});
  const answer = text(socket);
  for (const piece of pieces) {
    socket.write(piece, 'latin1');
    await new Promise((resolve) => setImmediate(resolve));
  }
  socket.end();
  return answer;
}

/** Status and body of each response. */
function parseAll(answer: string): { status: number; body: string }[] {
  const found: { status: number; body: string }[] = [];
  let rest = answer;
  while (rest !== '') {
    const end = rest.indexOf('\r\n\r\n');
    const length = Number(/content-length: (\d+)/i.exec(rest.slice(0, end))?.[1] ?? 0);
    found.push({ status: Number(rest.slice(9, 12)), body: rest.slice(end + 4, end + 4 + length) });
    rest = rest.slice(end + 4 + length);
  }
  return found;
}

describe('serveHttp', () => {
  test('answers pipelined requests in order, sync and async mixed, cut anywhere', async () => {
    await using server = await serveHttp({ port: 0 }, (request, response) => {
      const answer = `${request.method} ${request.target} ${request.body.toString()}`;
      if (!request.target.startsWith('/slow')) return response.send(200, TEXT, answer);
      return new Promise<void>((resolve) => {
        setTimeout(() => {
          response.send(200, TEXT, answer);
          resolve();
        }, 1);
      });
    });
    const request = fc.record({
      slow: fc.boolean(),
      body: fc.option(fc.string({ unit: 'binary-ascii', maxLength: 30 })),
      chunked: fc.boolean(),
    });
    await fc.assert(
      fc.asyncProperty(
        fc.array(request, { minLength: 1, maxLength: 8 }),
        fc.array(fc.nat(400), { maxLength: 6 }),
        async (requests, cuts) => {
          const expected: string[] = [];
          const sent = requests
            .map(({ slow, body, chunked }, index) => {
              const target = `${slow ? '/slow' : '/fast'}${index}`;
              expected.push(`${body === null ? 'GET' : 'POST'} ${target} ${body ?? ''}`);
              if (body === null) return `GET ${target} HTTP/1.1\r\nHost: a\r\n\r\n`;
              const head = `POST ${target} HTTP/1.1\r\nHost: a\r\n`;
              if (!chunked) return `${head}Content-Length: ${body.length}\r\n\r\n${body}`;
              const chunk = body === '' ? '' : `${body.length.toString(16)}\r\n${body}\r\n`;
              return `${head}Transfer-Encoding: chunked\r\n\r\n${chunk}0\r\n\r\n`;
            })
            .join('');
          const bounds = [0, ...cuts.sort((a, b) => a - b), sent.length];
          const pieces = bounds.slice(1).map((end, index) => sent.slice(bounds[index], end));
          const answers = parseAll(await exchange(server.port, ...pieces.filter((piece) => piece !== '')));
          expect(answers.map(({ body }) => body)).toEqual(expected);
        },
      ),
      { numRuns: 60 },
    );
  });

  test('speaks with node:http: bodies, HEAD, chunks, 100-continue, keep-alive', async () => {
    await using server = await serveHttp({ port: 0, maxBodyBytes: 2 ** 24 }, async (request, response) => {
      if (request.target === '/known') {
        response.start(200, TEXT, 300_000);
        for (let i = 0; i < 3; i++) await response.write(new IOBuf().append('x'.repeat(100_000)));
        response.end();
      } else if (request.target === '/chunked') {
        response.start(200, TEXT);
        for (let i = 0; i < 3; i++) await response.write(`part ${i},`);
        response.end();
      } else {
        response.send(200, { ...TEXT, 'X-Length': request.body.length }, request.body);
      }
    });
    const origin = `http://127.0.0.1:${server.port}`;
    const agent = new http.Agent({ keepAlive: true, maxSockets: 1 });
    const ask = async (
      path: string,
      method: string,
      body?: string,
      headers = {},
    ): Promise<{ response: http.IncomingMessage; body: string }> => {
      const request = http.request(origin + path, { agent, method, headers });
      if (headers === CONTINUE) {
        request.flushHeaders();
        await once(request, 'continue');
      }
      request.end(body);
      const [response] = (await once(request, 'response')) as [http.IncomingMessage];
      return { response, body: await text(response) };
    };
    const CONTINUE = { Expect: '100-continue', 'Content-Length': 5 };
    expect((await ask('/known', 'GET')).body).toBe('x'.repeat(300_000));
    const head = await ask('/known', 'HEAD');
    expect([head.body, head.response.headers['content-length']]).toEqual(['', '300000']);
    expect((await ask('/chunked', 'GET')).body).toBe('part 0,part 1,part 2,');
    expect((await ask('/echo', 'POST', 'y'.repeat(3_000_000))).body.length).toBe(3_000_000);
    expect((await ask('/echo', 'POST', 'abcde', CONTINUE)).body).toBe('abcde');
    expect(server.listener.stats.accepted).toBe(1);
    agent.destroy();
  });

  test('answers what is wrong and closes', async () => {
    const errors: unknown[] = [];
    await using server = await serveHttp(
      { port: 0, maxBodyBytes: 10, maxHeadBytes: 300, onError: (error) => errors.push(error) },
      (request, response) => {
        if (request.target === '/throw') throw new Error('thrown');
        if (request.target === '/reject') return Promise.reject(new Error('rejected'));
        if (request.target === '/nothing') return undefined;
        if (request.target === '/split') response.send(200, { 'X-Evil': 'a\r\nSet-Cookie: b' }, '');
        else response.send(200, TEXT, 'ok');
        return undefined;
      },
    );
    const get = (target: string): string => `GET ${target} HTTP/1.1\r\nHost: a\r\n\r\n`;
    const statuses = async (...pieces: string[]): Promise<number[]> =>
      parseAll(await exchange(server.port, ...pieces)).map(({ status }) => status);
    expect(await statuses(get('/'), 'garbage\r\n\r\n', get('/'))).toEqual([200, 400]);
    expect(await statuses(`GET / HTTP/1.1\r\nHost: a\r\nX: ${'y'.repeat(300)}\r\n\r\n`)).toEqual([431]);
    expect(await statuses(`GET /${'y'.repeat(400)}`)).toEqual([431]);
    expect(await statuses('POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 11\r\n\r\n')).toEqual([413]);
    expect(
      await statuses('POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n', 'b\r\n'),
    ).toEqual([413]);
    for (const target of ['/throw', '/reject', '/nothing', '/split']) {
      expect(await statuses(get(target))).toEqual([500]);
    }
    expect(errors.length).toBe(4);
    expect(await statuses('GET / HTTP/1.0\r\n\r\n')).toEqual([200]);
  });

  test('ends slow requests with 408 and idle connections without a word', async () => {
    await using server = await serveHttp(
      { port: 0, requestTimeoutMs: 40, keepAliveTimeoutMs: 60 },
      (_request, response) => response.send(200, TEXT, 'ok'),
    );
    const open = (sent: string): Promise<string> => {
      const socket = net.connect({ port: server.port, host: '127.0.0.1' });
      socket.write(sent);
      return text(socket);
    };
    const [slowHead, slowBody, idle, silent] = await Promise.all([
      open('GET / HT'),
      open('POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nab'),
      open('GET / HTTP/1.1\r\nHost: a\r\n\r\n'),
      open(''),
    ]);
    expect(parseAll(slowHead).map(({ status }) => status)).toEqual([408]);
    expect(parseAll(slowBody).map(({ status }) => status)).toEqual([408]);
    expect(parseAll(idle).map(({ status }) => status)).toEqual([200]);
    expect(silent).toBe('');
  });

  test('a peer that leaves in the middle of a response ends the handler', async () => {
    let failure: unknown;
    await using server = await serveHttp({ port: 0 }, async (_request, response) => {
      response.start(200, TEXT);
      try {
        for (;;) await response.write('x'.repeat(100_000));
      } catch (error) {
        failure = error;
        throw error;
      }
    });
    const socket = net.connect({ port: server.port, host: '127.0.0.1' });
    socket.write('GET / HTTP/1.1\r\nHost: a\r\n\r\n');
    await once(socket, 'data');
    socket.resetAndDestroy();
    while (failure === undefined) await new Promise((resolve) => setTimeout(resolve, 5));
    expect(failure).toMatchObject({ code: expect.stringMatching(/SUNSTAR_(ECONNRESET|EPIPE)/) });
  });

  test('serves whoever asks faster than it reads only as fast as it reads', async () => {
    const body = new IOBuf(shard.memory);
    body.append(new Uint8Array(1_048_576).fill(120));
    let served = 0;
    let mostWaiting = 0;
    await using server = await serveHttp({ port: 0 }, (_request, response) => {
      served++;
      using copy = body.share();
      response.send(200, TEXT, copy);
      mostWaiting = Math.max(mostWaiting, served - Math.floor(arrivedBytes / body.sizeBytes));
    });
    // More than a connection's output may ever be (64 MiB), were it not for the peer's pace.
    const requests = 150;
    let arrivedBytes = 0;
    const socket = net.connect({ port: server.port, host: '127.0.0.1' });
    socket.pause();
    socket.write('GET / HTTP/1.1\r\nHost: a\r\n\r\n'.repeat(requests));
    await once(socket, 'connect');
    while (served === 0) await new Promise((resolve) => setImmediate(resolve));
    await new Promise<void>((resolve) => {
      socket.on('data', (data) => {
        arrivedBytes += data.length;
        if (arrivedBytes > requests * body.sizeBytes) resolve();
      });
      socket.resume();
    });
    expect(served).toBe(requests);
    // What both sockets' buffers hold counts as well.
    expect(mostWaiting).toBeLessThan(40);
    socket.destroy();
    await once(socket, 'close');
    body[Symbol.dispose]();
  });

  test('refuses nonsense', async () => {
    const handler = (): void => {};
    await expect(serveHttp({ port: 0, maxHeadBytes: 1 }, handler)).rejects.toThrow(/maxHeadBytes/);
    await expect(serveHttp({ port: 0, maxBodyBytes: -1 }, handler)).rejects.toThrow(/maxBodyBytes/);
  });
});
