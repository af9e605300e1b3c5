import { fc, test } from '@fast-check/vitest';
import { describe, expect, it } from 'vitest';
import { LogLimit } from '../src/log-limit.js';

const key = fc.constantFrom('a', 'b', 'c');

describe('LogLimit', () => {
  test.prop([
    fc.array(fc.oneof(key, fc.constant(undefined)), { maxLength: 200 }),
    fc.integer({ min: 1, max: 5 }),
  ])(
    'passes so many of each message a minute, and tells the rest when the minute ends',
    (steps, perMinute) => {
      const told: [string, number][] = [];
      const limit = new LogLimit(perMinute, (message, suppressed) => told.push([message, suppressed]));
      let seen = new Map<string, number>();
      for (const step of [...steps, undefined]) {
        if (step !== undefined) {
          const before = seen.get(step) ?? 0;
          seen.set(step, before + 1);
          expect(limit.admit(step)).toBe(before < perMinute);
        } else {
          limit.endMinute();
          const expected = [...seen].filter(([, count]) => count > perMinute);
          expect(told.splice(0)).toEqual(expected.map(([message, count]) => [message, count - perMinute]));
          seen = new Map();
        }
        limit.invariants();
      }
    },
  );

  it('forgets the oldest message when there are too many to tell apart', () => {
    const told: [string, number][] = [];
    const limit = new LogLimit(1, (message, suppressed) => told.push([message, suppressed]));
    limit.admit('first');
    limit.admit('first');
    for (let i = 0; i < 1000; i++) expect(limit.admit(`message ${i}`)).toBe(true);
    expect(told).toEqual([['first', 1]]);
    expect(limit.admit('first')).toBe(true);
    limit.endMinute();
  });
});
