import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import { expect, it } from 'vitest';
import { heapArena } from '../../src/memory/arena.ts';
import { ShardMemory } from '../../src/memory/shard-memory.ts';

it('memory pressure is published before reclaimers are asked', async () => {
  const memory = new ShardMemory(heapArena(1024 * 1024), { debug: false });
  const cached: number[] = [];
  const order: string[] = [];
  const done = new Promise<void>((resolve) => {
    memory.addReclaimer(() => {
      order.push('reclaim');
      const blocks = cached.splice(0);
      for (const block of blocks) memory.free(block);
      resolve();
      return blocks.length * 65_536;
    });
  });
  const messages: unknown[] = [];
  const onPressure = (message: unknown): void => {
    order.push('published');
    messages.push(message);
  };
  subscribe('sunstar:memory-pressure', onPressure);
  memory.configure({ lowWaterBytes: 256 * 1024 });
  for (let i = 0; i < 14; i++) cached.push(memory.allocate(65_536));
  await done;
  unsubscribe('sunstar:memory-pressure', onPressure);
  expect(order.slice(0, 2)).toEqual(['published', 'reclaim']);
  expect(messages[0]).toMatchObject({ freeBytes: expect.any(Number), targetBytes: 384 * 1024 });
});
