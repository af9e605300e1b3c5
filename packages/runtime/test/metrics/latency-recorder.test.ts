import { fc, test } from '@fast-check/vitest';
import { describe, expect, it } from 'vitest';
import { LatencyRecorder } from '../../src/metrics/latency-recorder.js';

const latency = fc.double({ min: 0, max: 70_000, noNaN: true });

describe('LatencyRecorder', () => {
  test.prop([
    fc.array(latency, { minLength: 1, maxLength: 200 }),
    fc.double({ min: 0.01, max: 1, noNaN: true }),
  ])('knows each quantile to an eighth, like a sorted list', (latencies, quantile) => {
    const recorder = new LatencyRecorder();
    for (const one of latencies) recorder.record(one);
    recorder.invariants();
    const sorted = latencies.toSorted((a, b) => a - b);
    const exact = sorted[Math.ceil(sorted.length * quantile) - 1];
    const found = recorder.quantileMs(quantile);
    expect(recorder.count).toBe(latencies.length);
    expect(recorder.sumMs).toBeCloseTo(
      latencies.reduce((sum, one) => sum + one, 0),
      3,
    );
    expect(found).toBeGreaterThanOrEqual(Math.min(exact, 2 ** 26 / 1000));
    expect(found).toBeLessThanOrEqual(Math.max(0.001 * 1.125, exact * 1.1251));
    recorder.invariants();
  });

  test.prop([fc.array(latency, { maxLength: 100 })])(
    'exports how many keep to each power of two',
    (latencies) => {
      const recorder = new LatencyRecorder();
      for (const one of latencies) recorder.record(one);
      const { boundsMs, counts } = recorder.cumulative();
      expect(counts).toHaveLength(boundsMs.length + 1);
      for (const [i, boundMs] of boundsMs.entries()) {
        // What is exactly at a bound belongs to the next one.
        expect(counts[i]).toBe(latencies.filter((one) => one < boundMs).length);
      }
      expect(counts[boundsMs.length]).toBe(latencies.length);
    },
  );

  it('tells of slow ones, and of those only', () => {
    const slow: number[] = [];
    const recorder = new LatencyRecorder({ slowMs: 10, onSlow: (latencyMs) => slow.push(latencyMs) });
    for (const one of [1, 10, 9.99, 500, Number.NaN, -1]) recorder.record(one);
    expect(slow).toEqual([10, 500]);
    expect(recorder.count).toBe(6);
    expect(new LatencyRecorder().quantileMs(0.5)).toBeNaN();
  });
});
