import { attach, currentGroupId, type SchedulingGroup, yieldNow } from '@sunstar/runtime';
import { connect, listen } from '@sunstar/zerocopy-net';
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
