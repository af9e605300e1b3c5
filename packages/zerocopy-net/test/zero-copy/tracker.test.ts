import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { ZeroCopyTracker } from '../../src/zero-copy/tracker.ts';
import { TrackerModel, trackerProperty } from './tracker-model.ts';

describe('the zero-copy tracker', () => {
  test('behaves like a set: any order, any ranges, around the wrap, repeated and invented numbers', () => {
    const reached = { maxCapacity: 0 };
    fc.assert(trackerProperty(150, reached), { numRuns: 1500 });
    expect(reached.maxCapacity).toBeGreaterThanOrEqual(128);
  });

  test('wraps at every offset: a full ring of every capacity, notified in one range', () => {
    for (let before = 1; before <= 70; before++) {
      for (const count of [1, 7, 8, 9, 16, 17, 64, 65]) {
        const released: number[] = [];
        const first = 2 ** 32 - before;
        const tracker = new ZeroCopyTracker<number>((held) => released.push(held), first);
        for (let i = 0; i < count; i++) {
          expect(tracker.begin()).toBe((first + i) % 2 ** 32);
          tracker.commit(i);
        }
        expect(tracker.complete(first, (first + count - 1) % 2 ** 32)).toBe(count);
        tracker.trim();
        tracker.invariants();
        expect(released).toHaveLength(count);
        expect(tracker.length + tracker.inFlight + tracker.duplicates + tracker.unknown).toBe(0);
        expect(tracker.capacity).toBe(8);
      }
    }
  });

  test('grows and shrinks at every fill and every position of the front', () => {
    for (let offset = 0; offset < 16; offset++) {
      for (let fill = 1; fill <= 40; fill++) {
        const model = new TrackerModel(2 ** 32 - 20 + offset);
        for (let i = 0; i < offset; i++) model.run({ kind: 'send' });
        model.run({ kind: 'notify', at: 0, count: offset });
        model.run({ kind: 'trim' });
        for (let i = 0; i < fill; i++) model.run({ kind: 'send' });
        for (let i = 0; i < fill; i++) {
          model.run({ kind: 'notify', at: 0, count: 1 });
          model.run({ kind: 'trim' });
        }
        model.finish(false);
      }
    }
  });

  test('a range of all numbers that exist is one loop over the records, and ends each once', () => {
    const released: number[] = [];
    const tracker = new ZeroCopyTracker<number>((held) => released.push(held), 5);
    for (let i = 0; i < 3; i++) {
      tracker.begin();
      tracker.commit(i);
    }
    expect(tracker.complete(0, 2 ** 32 - 1)).toBe(3);
    expect(tracker.complete(6, 5)).toBe(0);
    expect(released).toEqual([0, 1, 2]);
  });

  test('one send begins at a time', () => {
    const tracker = new ZeroCopyTracker<number>(() => {});
    expect(() => tracker.commit(1)).toThrow();
    expect(() => tracker.rollback()).toThrow();
    tracker.begin();
    expect(() => tracker.begin()).toThrow();
  });
});
