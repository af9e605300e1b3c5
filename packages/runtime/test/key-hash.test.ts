import { describe, expect, it } from 'vitest';
import { hashKey } from '../src/key-hash.js';

describe('hashKey', () => {
  it('gives text and its UTF-8 bytes the same hash, always', () => {
    expect(hashKey('größe')).toBe(hashKey(Buffer.from('größe')));
    // Data on disk may be placed by it: it must never change.
    expect([hashKey(''), hashKey('a'), hashKey('user:1000')]).toMatchInlineSnapshot(`
      [
        372927747,
        2264540768,
        3876725367,
      ]
    `);
  });

  it('spreads similar keys evenly over few and many shards', () => {
    for (const shards of [2, 3, 8, 64]) {
      const counts = new Array<number>(shards).fill(0);
      const keys = 20_000;
      for (let i = 0; i < keys; i++) counts[hashKey(`user:${i}`) % shards]++;
      for (const count of counts) expect(Math.abs(count / (keys / shards) - 1)).toBeLessThan(0.25);
    }
  });
});
