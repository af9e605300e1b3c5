import fc from 'fast-check';
import { expect, it } from 'vitest';
import { RingBuffer } from '../src/ring-buffer.ts';

it('a ring buffer gives its items in their order', () => {
  fc.assert(
    fc.property(fc.array(fc.integer({ min: -200, max: 200 }), { maxLength: 60 }), (changes) => {
      const buffer = new RingBuffer<number>();
      const model: number[] = [];
      let next = 0;
      for (const change of changes) {
        for (let i = 0; i < change; i++) {
          buffer.push(next);
          model.push(next++);
        }
        for (let i = change; i < 0 && model.length > 0; i++) expect(buffer.shift()).toBe(model.shift());
        expect(buffer.size).toBe(model.length);
        buffer.invariants();
      }
    }),
  );
});

it('a ring buffer that is never empty keeps the memory of what it holds at once', () => {
  const buffer = new RingBuffer<number>();
  buffer.push(0);
  for (let i = 1; i < 100_000; i++) {
    buffer.push(i);
    buffer.shift();
  }
  expect(buffer.size).toBe(1);
  buffer.invariants(16);
});
