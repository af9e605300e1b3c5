import { attach, offloadModule } from '@sunstar/runtime';
import { expect, test } from 'vitest';
import { IOBuf } from '../src/index.js';
import { expectCode } from './support.js';

interface Work {
  upperCase(buffer: IOBuf): IOBuf;
  checksum(buffer: IOBuf, others: number[]): number[];
  same(buffer: IOBuf): IOBuf;
}

const work = offloadModule<Work>(new URL('./offload-work.mjs', import.meta.url));

test('a buffer moves to the offload pool and another one back, without a copy', async () => {
  const shard = attach({ memory: '16MiB' });
  const before = shard.memory.stats().usedBytes;
  const text = 'abc'.repeat(100_000);
  const buffer = IOBuf.from(text);
  const shared = buffer.share();
  using reversed = await work.run('upperCase', [buffer]);
  expect(reversed.toString()).toBe(text.toUpperCase());
  expectCode(() => buffer.sizeBytes, 'SUNSTAR_IOBUF_MOVED');
  expect(shared.toString()).toBe(text);
  expect(await work.run('checksum', [shared, [1, 2]])).toEqual([300_000, 2]);
  using empty = await work.run('upperCase', [new IOBuf()]);
  expect(empty.sizeBytes).toBe(0);
  // What the function returns of its argument is copied: it is the function's no more.
  using same = await work.run('same', [IOBuf.from('unchanged')]);
  expect(same.toString()).toBe('unchanged');
  expect(shard.memory.stats().usedBytes).toBe(before);
  await shard.stop();
});
