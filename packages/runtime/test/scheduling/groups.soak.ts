import { attach } from '@sunstar/runtime';
import { expect, test } from 'vitest';
import { runMixed } from './mixed-groups.mjs';

test('100,000 chains of nested awaits continue in their groups', async () => {
  const shard = attach({ memory: '16MiB' });
  for (let seed = 1; seed <= 10; seed++) {
    const { wrong } = await runMixed(shard, 10_000, seed);
    expect(wrong.slice(0, 10)).toEqual([]);
  }
});
