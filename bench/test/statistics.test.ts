import { fc, test } from '@fast-check/vitest';
import { describe, expect } from 'vitest';
import { advantage, compare, median } from '../src/harness/statistics.js';

const positive = fc.double({ min: 1e-3, max: 1e9, noNaN: true });
const rounds = fc.array(fc.tuple(positive, positive), { minLength: 1, maxLength: 25 });

describe('median', () => {
  test('takes the middle of an odd and the mean of the two middles of an even number of values', () => {
    expect(median([9, 1, 5])).toBe(5);
    expect(median([4, 1, 3, 2])).toBe(2.5);
    expect(median([7])).toBe(7);
    expect(() => median([])).toThrow(RangeError);
  });

  test.prop([fc.array(positive, { minLength: 1 })])(
    'has as many values above as below, and changes nothing',
    (values) => {
      const before = [...values];
      const middle = median(values);
      expect(values).toEqual(before);
      expect(values.filter((value) => value < middle).length).toBeLessThanOrEqual(values.length / 2);
      expect(values.filter((value) => value > middle).length).toBeLessThanOrEqual(values.length / 2);
    },
  );
});

describe('advantage', () => {
  test('is above 1 for the faster program, in rates and in times', () => {
    expect(advantage(200, 100, true)).toBe(2);
    expect(advantage(10, 40, false)).toBe(4);
    expect(advantage(40, 10, false)).toBe(0.25);
  });
});

describe('compare', () => {
  test('takes ratios round by round, not of the medians', () => {
    // The machine is four times slower in the last round, for both.
    expect(compare([10, 12, 44], [20, 20, 80], false)).toEqual({
      ours: 12,
      theirs: 20,
      ratio: 80 / 44,
      ratioMin: 20 / 12,
      ratioMax: 2,
      rounds: 3,
    });
  });

  test('rejects rounds that do not pair up', () => {
    expect(() => compare([1, 2], [1], true)).toThrow(RangeError);
  });

  test.prop([rounds, fc.boolean()])('swapping the sides inverts the range', (pairs, higherIsBetter) => {
    const left = pairs.map(([value]) => value);
    const right = pairs.map(([, value]) => value);
    const forward = compare(left, right, higherIsBetter);
    const backward = compare(right, left, higherIsBetter);
    expect(forward.ratioMin).toBeLessThanOrEqual(forward.ratio);
    expect(forward.ratio).toBeLessThanOrEqual(forward.ratioMax);
    expect(forward.ratioMax * backward.ratioMin).toBeCloseTo(1, 9);
    expect(forward.ratioMin * backward.ratioMax).toBeCloseTo(1, 9);
    expect(forward.rounds).toBe(pairs.length);
  });

  test.prop([rounds])('a rate and its reciprocal, a time, say the same', (pairs) => {
    const left = pairs.map(([value]) => value);
    const right = pairs.map(([, value]) => value);
    const invert = (values: number[]): number[] => values.map((value) => 1 / value);
    const asTimes = compare(invert(left), invert(right), false);
    const asRates = compare(left, right, true);
    expect(asTimes.ratio / asRates.ratio).toBeCloseTo(1, 9);
    expect(asTimes.ratioMax / asRates.ratioMax).toBeCloseTo(1, 9);
  });
});
