import { once } from 'node:events';
import { IOBuf } from '@sunstar/iobuf';
import { attach } from '@sunstar/runtime';
import { type Connection, listen, type PipelineOptions, pipelined } from '@sunstar/zerocopy-net';
import fc from 'fast-check';
import { afterEach, describe, expect, test } from 'vitest';
import { leakCheck } from '../support/leaks.ts';
import { nodeClient, readAll, until } from '../support/peer.ts';

const shard = attach({ memory: '64MiB', log: 'silent' });
const nothingIsLeft = await leakCheck(shard);
afterEach(nothingIsLeft);

/** One line is one request. */
function takeLine(input: IOBuf): string | null {
  const end = input.indexOf(10);
  if (end < 0) return null;
  const line = input.toString('utf8', 0, end);
  input.trimFront(end + 1);
  return line;
}

interface Parked {
  readonly request: string;
  respond(): void;
  fail(error: Error): void;
}

/** Parks requests until the test answers them, in any order. */
class ManualHandler {
  readonly parked: Parked[] = [];
  started = 0;

  readonly handle = (request: string): Promise<string> => {
    this.started++;
    return new Promise((resolve, reject) => {
      this.parked.push({ request, respond: () => resolve(`${request}!\n`), fail: reject });
    });
  };
}

async function start(options: PipelineOptions<string>): Promise<Awaited<ReturnType<typeof listen>>> {
  return listen({ port: 0 }, pipelined(options));
}

describe('pipelined', () => {
  test('answers in order whatever order the work ends in, within maxRequests', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.integer({ min: 1, max: 40 }),
        fc.integer({ min: 1, max: 8 }),
        fc.infiniteStream(fc.nat()),
        async (count, maxRequests, choices) => {
          const handler = new ManualHandler();
          await using listener = await start({ decode: takeLine, handle: handler.handle, maxRequests });
          const client = await nodeClient(listener.port);
          const lines = Array.from({ length: count }, (_, index) => `request ${index}`);
          client.end(`${lines.join('\n')}\n`);
          const answered = readAll(client);
          for (let done = 0; done < count; done++) {
            await until(() => handler.parked.length > 0);
            expect(handler.parked.length).toBeLessThanOrEqual(maxRequests);
            const which = (choices.next().value as number) % handler.parked.length;
            handler.parked.splice(which, 1)[0].respond();
          }
          expect((await answered).toString()).toBe(lines.map((line) => `${line}!\n`).join(''));
        },
      ),
      { numRuns: 25 },
    );
  });

  test('handles the next request only when the one before is dispatched', async () => {
    const order: string[] = [];
    let dispatch: () => void = () => {};
    await using listener = await start({
      decode: takeLine,
      handle: (request) => {
        order.push(`begin ${request}`);
        const dispatched = new Promise<void>((resolve) => {
          dispatch = () => {
            order.push(`dispatched ${request}`);
            resolve();
          };
        });
        return { dispatched, responded: dispatched.then(() => `${request}\n`) };
      },
    });
    const client = await nodeClient(listener.port);
    client.end('a\nb\n');
    const answered = readAll(client);
    await until(() => order.length === 1);
    dispatch();
    await until(() => order.length === 3);
    dispatch();
    expect((await answered).toString()).toBe('a\nb\n');
    expect(order).toEqual(['begin a', 'dispatched a', 'begin b', 'dispatched b']);
  });

  test('holds back all connections of the shard when their requests cost too much memory', async () => {
    const handler = new ManualHandler();
    await using listener = await start({
      decode: takeLine,
      handle: handler.handle,
      maxMemoryBytes: 100,
      costBytes: () => 40,
    });
    const clients = await Promise.all([nodeClient(listener.port), nodeClient(listener.port)]);
    for (const client of clients) client.end('1\n2\n3\n');
    const answers = Promise.all(clients.map((client) => readAll(client)));
    for (let done = 0; done < 6; done++) {
      await until(() => handler.parked.length === Math.min(2, 6 - done));
      handler.parked.shift()?.respond();
    }
    expect((await answers).map(String)).toEqual(['1!\n2!\n3!\n', '1!\n2!\n3!\n']);
  });

  test('a failed request is answered by onError, or else resets its connection only', async () => {
    const options = {
      decode: takeLine,
      handle: (request: string): Promise<string> | string => {
        if (request === 'throw') throw new Error('thrown');
        return request === 'reject' ? Promise.reject(new Error('rejected')) : `${request}\n`;
      },
    };
    {
      await using listener = await start({
        ...options,
        onError: (error, request) => `${request}: ${(error as Error).message}\n`,
      });
      const client = await nodeClient(listener.port);
      client.end('throw\nok\nreject\nok\n');
      expect((await readAll(client)).toString()).toBe('throw: thrown\nok\nreject: rejected\nok\n');
    }
    for (const request of ['throw', 'reject']) {
      await using listener = await start(options);
      const client = await nodeClient(listener.port);
      client.write(`${request}\nok\n`);
      const [error] = await once(client, 'error');
      expect(error).toMatchObject({ code: 'ECONNRESET' });
      expect(listener.stats.handlerErrors).toBe(1);
    }
  });

  test('a response that is none, or has no memory, resets its connection', async () => {
    for (const response of [undefined, 5, {}, ['x']] as unknown[]) {
      for (const handle of [
        (): string => response as string,
        async (): Promise<string> => response as string,
      ]) {
        await using listener = await start({ decode: takeLine, handle });
        const client = await nodeClient(listener.port);
        client.write('a\nb\n');
        const [error] = await once(client, 'error');
        expect(error).toMatchObject({ code: 'ECONNRESET' });
        expect(listener.stats.handlerErrors).toBe(1);
      }
    }
    let handled = 0;
    await using listener = await start({
      decode: takeLine,
      handle: () => (handled++ === 0 ? 'x'.repeat(shard.memory.arena.sizeBytes) : 'short'),
    });
    const client = await nodeClient(listener.port);
    client.write('a\nb\n');
    const [error] = await once(client, 'error');
    expect(error).toMatchObject({ code: 'ECONNRESET' });
  });

  test('a decoder that takes nothing ends its connection, not the shard', async () => {
    let decoded = 0;
    const decode = (): string => {
      decoded++;
      if (decoded > 1000) throw new Error('for ever');
      return 'x';
    };
    await using listener = await start({ decode, handle: () => null });
    const client = await nodeClient(listener.port);
    client.write('a\n');
    await once(client, 'error');
    expect(decoded).toBe(1);
  });

  test('resets a peer whose request has no end, or cannot be decoded', async () => {
    const decode = (input: IOBuf): string | null => {
      if (input.byteAt(0) === 33) throw new Error('no such request');
      return takeLine(input);
    };
    await using listener = await start({ decode, handle: (request) => request, maxRequestBytes: 1000 });
    for (const bytes of ['x'.repeat(1000), '!']) {
      const client = await nodeClient(listener.port);
      client.write(bytes);
      const [error] = await once(client, 'error');
      expect(error).toMatchObject({ code: 'ECONNRESET' });
    }
    expect(listener.stats.handlerErrors).toBe(2);
  });

  test('responses that come after their peer has gone are dropped, and their memory is free', async () => {
    const responses: ((response: IOBuf) => void)[] = [];
    let seen: Connection | undefined;
    await using listener = await start({
      decode: takeLine,
      handle: (_request, connection) => {
        seen = connection;
        return new Promise<IOBuf>((resolve) => responses.push(resolve));
      },
    });
    const client = await nodeClient(listener.port);
    client.write('a\nb\nc\n');
    await until(() => responses.length === 3);
    client.resetAndDestroy();
    await until(() => seen?.isClosed === true);
    for (const respond of responses.reverse()) respond(new IOBuf().append('x'.repeat(10_000)));
  });

  test('refuses nonsense', () => {
    const options = { decode: takeLine, handle: () => null };
    expect(() => pipelined({ ...options, maxRequests: 0 })).toThrow(/maxRequests/);
    expect(() => pipelined({ ...options, maxRequestBytes: 1.5 })).toThrow(/maxRequestBytes/);
    expect(() => pipelined({ ...options, maxMemoryBytes: -1 })).toThrow(/maxMemoryBytes/);
    const none = undefined as unknown as () => null;
    expect(() => pipelined({ ...options, decode: none })).toThrow(/decode must be a function/);
    expect(() => pipelined({ ...options, handle: none })).toThrow(/handle must be a function/);
  });
});
