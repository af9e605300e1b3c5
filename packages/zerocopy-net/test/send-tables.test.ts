import { IOBuf } from '@sunstar/iobuf';
import { createArena, ShardMemory } from '@sunstar/runtime';
import { expect, test } from 'vitest';
import { MAX_FRAGMENTS_PER_SEND, SendTables } from '../src/send-tables.ts';

const memory = new ShardMemory(createArena(4 * 1024 * 1024));

function fragments(count: number): IOBuf {
  const buffer = new IOBuf(memory);
  for (let i = 0; i < count; i++) {
    using piece = IOBuf.from(`fragment ${i}`, memory);
    buffer.link(piece);
  }
  return buffer;
}

function word64(at: number): number {
  const { view } = memory.arena;
  return view.getUint32(at, true) + view.getUint32(at + 4, true) * 4294967296;
}

test('a table holds a message header and the fragments that fit', () => {
  const tables = new SendTables(memory);
  using content = fragments(MAX_FRAGMENTS_PER_SEND + 10);
  const table = tables.tryFill(content);
  // struct msghdr: name, namelen, iov, iovlen, control, controllen, flags.
  expect(word64(table)).toBe(0);
  expect(word64(table + 8)).toBe(0);
  const vector = word64(table + 16) - memory.arena.address;
  expect(word64(table + 24)).toBe(MAX_FRAGMENTS_PER_SEND);
  expect(word64(table + 32)).toBe(0);
  expect(word64(table + 40)).toBe(0);
  expect(word64(table + 48)).toBe(0);
  for (let i = 0; i < MAX_FRAGMENTS_PER_SEND; i++) {
    const offset = word64(vector + i * 16) - memory.arena.address;
    const length = word64(vector + i * 16 + 8);
    expect(memory.bytes.toString('latin1', offset, offset + length)).toBe(`fragment ${i}`);
  }
  expect(tables.inUse).toBe(1);
  tables.release(table);
  tables.trim();
});

test('idle tables are kept up to a limit, and freed by trim', () => {
  const usedBytes = memory.stats().usedBytes;
  const tables = new SendTables(memory);
  {
    using content = fragments(2);
    const held = Array.from({ length: 100 }, () => tables.tryFill(content));
    expect(new Set(held).size).toBe(100);
    expect(tables.inUse).toBe(100);
    for (const table of held) tables.release(table);
  }
  expect(tables.inUse).toBe(0);
  expect(memory.stats().usedBytes - usedBytes).toBe(64 * 2048);
  tables.trim();
  expect(memory.stats().usedBytes).toBe(usedBytes);
});

test('without memory there is no table, and no error', () => {
  const small = new ShardMemory(createArena(1024 * 1024));
  const tables = new SendTables(small);
  using content = new IOBuf(small);
  content.append('x');
  const held: number[] = [];
  for (let block = small.tryAllocate(1024); block >= 0; block = small.tryAllocate(1024)) held.push(block);
  expect(tables.tryFill(content)).toBe(-1);
  expect(tables.inUse).toBe(0);
  small.free(held[0]);
});
