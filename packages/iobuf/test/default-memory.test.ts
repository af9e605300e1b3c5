import { attach } from '@sunstar/runtime';
import { expect, test } from 'vitest';
import { IOBuf } from '../src/index.js';
import { expectCode } from './support.js';

test('fragments come from the memory of the current shard', () => {
  expectCode(() => new IOBuf(), 'SUNSTAR_NOT_ATTACHED');
  const shard = attach({ memory: '16MiB' });
  const before = shard.memory.stats().usedBytes;
  {
    using buffer = IOBuf.from('hello');
    expect(buffer.memory).toBe(shard.memory);
    expect(shard.memory.stats().usedBytes).toBe(before + 512);
  }
  expect(shard.memory.stats().usedBytes).toBe(before);
});
