import type { IOBuf } from '@sunstar/iobuf';
import { attach, currentGroupId, type SchedulingGroup, yieldNow } from '@sunstar/runtime';
import { connect, listen, pipelined } from '@sunstar/zerocopy-net';
import { expect, test } from 'vitest';

const { groups } = attach({ memory: '64MiB' });

test('connections of several scheduling groups at once: each end continues in its group', async () => {
  const serving = groups.create({ name: 'serving', shares: 200 });
  const handling = groups.create({ name: 'handling', shares: 50 });
  const clients = ['a', 'b', 'c'].map((name, i) => groups.create({ name, shares: 100 * (i + 1) }));
  const wrong: string[] = [];
  let checks = 0;
  const check = (group: SchedulingGroup, where: string): void => {
    checks++;
    if (currentGroupId() !== group.id) wrong.push(`${where} of ${group.name} in ${currentGroupId()}`);
  };

  const listener = await serving.run(() =>
    listen({ port: 0 }, async (connection) => {
      check(serving, 'accepted');
      // Every other connection is served in a group of its own choice.
      const group = checks % 2 === 0 ? serving : handling;
      await group.run(async () => {
        for await (const line of connection.lines()) {
          check(group, 'a line');
          if (line.length % 3 === 0) await yieldNow();
          await connection.write(`${line}\n`);
          check(group, 'written');
        }
        check(group, 'the end');
      });
      check(serving, 'served');
    }),
  );

  async function client(group: SchedulingGroup, requests: number): Promise<void> {
    const connection = await connect({ port: listener.port });
    check(group, 'connected');
    const lines = connection.lines();
    for (let i = 0; i < requests; i++) {
      // Some are large enough to wait until the output has drained.
      const request = 'x'.repeat(i % 10 === 0 ? 60_000 : i + 1);
      await connection.write(`${request}\n`);
      check(group, 'written');
      const { value } = await lines.next();
      check(group, 'answered');
      expect(value).toBe(request);
    }
    await connection.close();
    check(group, 'closed');
  }

  await Promise.all(
    clients.flatMap((group) => Array.from({ length: 5 }, () => group.run(() => client(group, 40)))),
  );
  await listener.close();
  expect(currentGroupId()).toBe(groups.default.id);
  expect(wrong.slice(0, 10)).toEqual([]);
  expect(checks).toBeGreaterThan(2_000);
});

test('a connection belongs to the group that connects, also by name, and so does its failure', async () => {
  const asking = groups.create({ name: 'asking' });
  await using listener = await listen({ port: 0 }, async (connection) => {
    for await (const piece of connection) piece[Symbol.dispose]();
  });
  await asking.run(async () => {
    // Node answers the lookup, and sets off the deadline, in the default group.
    const connection = await connect({ port: listener.port, host: 'localhost' });
    expect(currentGroupId()).toBe(asking.id);
    await connection.write('hello');
    expect(currentGroupId()).toBe(asking.id);
    await connection.close();
    const controller = new AbortController();
    setImmediate(() => controller.abort());
    const { signal } = controller;
    // Documentation addresses (RFC 5737) answer nobody; without a route, the attempt fails by itself.
    for (const options of [{ signal }, { timeoutMs: 1 }]) {
      await expect(connect({ port: 9, host: '192.0.2.1', ...options })).rejects.toThrow();
      expect(currentGroupId()).toBe(asking.id);
    }
  });
});

test('requests of a pipeline are decoded and begun in its group, whichever group answers them', async () => {
  const piping = groups.create({ name: 'piping' });
  const working = groups.create({ name: 'working' });
  const seen = new Map<string, Set<number>>();
  const see = (where: string): void => {
    const ids = seen.get(where) ?? new Set<number>();
    seen.set(where, ids.add(currentGroupId()));
  };
  const answers: (() => void)[] = [];
  const later = <T>(
    settle: (resolve: (value: T) => void, reject: (error: Error) => void) => void,
  ): Promise<T> => new Promise((resolve, reject) => answers.push(() => settle(resolve, reject)));
  const listener = await piping.run(() =>
    listen(
      { port: 0 },
      pipelined({
        maxRequests: 2,
        decode(input: IOBuf): number | null {
          see('decode');
          if (input.sizeBytes === 0) return null;
          using first = input.takeFront(1);
          const request = first.toBuffer()[0];
          return request;
        },
        handle(request) {
          see('handle');
          if (request % 3 === 0) return later<string>((_, reject) => reject(new Error('why')));
          const responded = later<string>((resolve) => resolve('.'));
          return request % 3 === 1
            ? responded
            : { dispatched: later<void>((resolve) => resolve()), responded };
        },
        onError() {
          see('onError');
          return '!';
        },
      }),
    ),
  );
  let isOver = false;
  const answering = working.run(async () => {
    while (!isOver) {
      await yieldNow();
      answers.shift()?.();
    }
  });
  const client = await connect({ port: listener.port });
  await client.write(Uint8Array.from({ length: 60 }, (_, i) => i));
  using answer = await client.readExactly(60);
  expect(answer.toString()).toBe('!..'.repeat(20));
  isOver = true;
  await answering;
  await client.close();
  await listener.close();
  expect(Object.fromEntries(seen)).toEqual({
    decode: new Set([piping.id]),
    handle: new Set([piping.id]),
    onError: new Set([piping.id]),
  });
});
