import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  ControlLayout,
  controlBlockBytes,
  createControlBlock,
  defaultSlots,
  SLOT_WORDS,
} from '../../src/smp/layout.ts';

describe('ControlLayout', () => {
  it('gives every word and slot a place of its own, and every writer its own line', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 9 }), fc.constantFrom(2, 8, 32), (shardCount, slots) => {
        const layout = new ControlLayout(shardCount, slots);
        const writerOfLine = new Map<number, string>();
        const claim = (word: number, writer: string): void => {
          const line = Math.floor(word / SLOT_WORDS);
          const other = writerOfLine.get(line) ?? writer;
          if (other !== writer) throw new Error(`line ${line} belongs to ${other} and ${writer}`);
          writerOfLine.set(line, writer);
        };
        claim(0, 'nobody');
        for (let to = 0; to < shardCount; to++) {
          claim(layout.ringDescriptorWord(to), `shard ${to}`);
          claim(layout.stateWord(to), `shard ${to}`);
          claim(layout.sleepWord(to), `sleep ${to}`);
          for (let from = 0; from < shardCount; from++) {
            if (from === to) continue;
            claim(layout.tailWord(from, to), `tail ${from} ${to}`);
            claim(layout.headWord(from, to), `head ${from} ${to}`);
            claim(layout.roomWantedWord(from, to), `head ${from} ${to}`);
            for (let slot = 0; slot < slots; slot++) {
              claim(layout.slotsWord(from, to) + slot * SLOT_WORDS, `slot ${from} ${to} ${slot}`);
            }
          }
        }
        expect(writerOfLine.size * SLOT_WORDS * 4).toBe(layout.sizeBytes);
        expect(Math.max(...writerOfLine.keys()) + 1).toBe(writerOfLine.size);
      }),
    );
  });

  it('is found again in the block that was made with it', () => {
    const control = createControlBlock(3, 16);
    expect(control.byteLength).toBe(controlBlockBytes(3, 16));
    expect(ControlLayout.of(control)).toEqual(new ControlLayout(3, 16));
  });

  it('costs 64 KiB for each ordered pair of few shards, and 8 KiB for each of many', () => {
    expect(controlBlockBytes(1)).toBe(192);
    expect(controlBlockBytes(2)).toBe(64 + 2 * 128 + 2 * 1026 * 64);
    expect(controlBlockBytes(64)).toBe(64 + 64 * 128 + 64 * 63 * 130 * 64);
    for (let shards = 1; shards <= 1024; shards++) {
      const slots = defaultSlots(shards);
      expect(ControlLayout.of(createControlBlock(1, slots)).slots).toBe(slots);
      if (slots > 128) expect(shards * (shards - 1) * slots * 64).toBeLessThanOrEqual(16 * 1024 * 1024);
      expect(slots).toBeLessThanOrEqual(defaultSlots(shards - 1));
    }
  });

  it.each([
    [0, 128],
    [1025, 128],
    [1.5, 128],
    [2, 1],
    [2, 100],
    [2, 131_072],
  ])('refuses %d shards with %d slots', (shardCount, slots) => {
    expect(() => createControlBlock(shardCount, slots)).toThrow(
      expect.objectContaining({ code: 'SUNSTAR_INVALID_OPTION' }),
    );
  });

  it('refuses a buffer that is no control block, or is cut short', () => {
    const refused: unknown = expect.objectContaining({ code: 'SUNSTAR_INVALID_CONTROL_BLOCK' });
    expect(() => ControlLayout.of(new SharedArrayBuffer(0))).toThrow(refused);
    expect(() => ControlLayout.of(new SharedArrayBuffer(4096))).toThrow(refused);
    const short = new SharedArrayBuffer(128);
    new ControlLayout(2).describe(short);
    expect(() => ControlLayout.of(short)).toThrow(refused);
  });
});
