import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { crc16, firstSlotOf, SLOT_COUNT, shardOfSlot, slotOf } from '../src/slots.js';

function slot(key: string): number {
  const bytes = Buffer.from(key, 'latin1');
  return slotOf(bytes, 0, bytes.length);
}

describe('crc16', () => {
  test('the check value of CRC-16/XMODEM', () => {
    expect(crc16(Buffer.from('123456789'), 0, 9)).toBe(0x31c3);
    expect(crc16(Buffer.from(''), 0, 0)).toBe(0);
  });

  test('as bit by bit', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 50 }), fc.nat(5), (bytes, skip) => {
        const from = Math.min(skip, bytes.length);
        let crc = 0;
        for (const byte of bytes.subarray(from)) {
          crc ^= byte << 8;
          for (let bit = 0; bit < 8; bit++) crc = ((crc << 1) ^ ((crc & 0x8000) !== 0 ? 0x1021 : 0)) & 0xffff;
        }
        expect(crc16(bytes, from, bytes.length - from)).toBe(crc);
      }),
    );
  });
});

describe('hash slots', () => {
  // What `CLUSTER KEYSLOT` of Redis answers.
  test.each([
    ['foo', 12_182],
    ['bar', 5061],
    ['hello', 866],
    ['', 0],
    ['123456789', 12_739],
    ['foo{hash_tag}', 2515],
    ['bar{hash_tag}', 2515],
  ])('%j is in slot %i', (key, expected) => {
    expect(slot(key)).toBe(expected);
  });

  test('hash tags', () => {
    expect(slot('{user1000}.following')).toBe(slot('user1000'));
    expect(slot('foo{bar}{zap}')).toBe(slot('bar'));
    expect(slot('foo{{bar}}zap')).toBe(slot('{bar'));
    expect(slot('x}{y}')).toBe(slot('y'));
    for (const whole of ['foo{}{bar}', 'foo{bar', 'foo}bar{', '{}']) {
      const bytes = Buffer.from(whole);
      expect(slot(whole)).toBe(crc16(bytes, 0, bytes.length) % SLOT_COUNT);
    }
  });

  test('every shard has one range, and they are even', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 300 }), (shardCount) => {
        const sizes = new Array<number>(shardCount).fill(0);
        let last = 0;
        for (let number = 0; number < SLOT_COUNT; number++) {
          const shard = shardOfSlot(number, shardCount);
          sizes[shard]++;
          if (shard === last) continue;
          expect(shard).toBe(last + 1);
          expect(firstSlotOf(shard, shardCount)).toBe(number);
          last = shard;
        }
        expect(last).toBe(shardCount - 1);
        expect(Math.max(...sizes) - Math.min(...sizes)).toBeLessThanOrEqual(1);
      }),
      { numRuns: 20 },
    );
  });
});
