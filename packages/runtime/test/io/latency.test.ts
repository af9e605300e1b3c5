import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { LatencyHistogram } from '../../src/io/latency-histogram.ts';
import { group, SimulatedDevice } from './simulated-device.ts';

const KIB = 1024;

function check(holds: boolean, what: string): void {
  if (!holds) throw new Error(what);
}

describe('LatencyHistogram', () => {
  it('gives every quantile, at most an eighth too large', () => {
    const latencies = fc.array(fc.double({ min: 0.001, max: 30_000, noNaN: true }), {
      minLength: 1,
      maxLength: 200,
    });
    fc.assert(
      fc.property(latencies, fc.double({ min: 0.001, max: 1, noNaN: true }), (values, quantile) => {
        const histogram = new LatencyHistogram(1000);
        for (const value of values) histogram.record(value, 0);
        histogram.invariants(check);
        const sorted = values.toSorted((a, b) => a - b);
        const exact = sorted[Math.ceil(values.length * quantile) - 1];
        const answer = histogram.quantileMs(quantile, 0);
        expect(answer).toBeGreaterThanOrEqual(exact);
        expect(answer).toBeLessThanOrEqual(exact * 1.126);
      }),
    );
  });

  it('knows nothing at first, takes what is absurd, and forgets by halves', () => {
    const histogram = new LatencyHistogram(100);
    expect(histogram.quantileMs(0.5, 0)).toBeNaN();
    for (const value of [0, -1, Number.NaN]) histogram.record(value, 0);
    expect(histogram.quantileMs(1, 0)).toBeLessThan(0.002);
    for (let i = 0; i < 64; i++) histogram.record(8, 50);
    expect(histogram.quantileMs(0.5, 50)).toBe(8.192);
    histogram.record(1e9, 99);
    expect(histogram.quantileMs(1, 99)).toBeGreaterThan(30_000);
    // Young ones outweigh the old ones soon, and nothing is left in the end.
    for (let i = 0; i < 20; i++) histogram.record(1, 350);
    expect(histogram.quantileMs(0.5, 350)).toBeLessThan(1.2);
    expect(histogram.quantileMs(0.9, 350)).toBeGreaterThan(7);
    histogram.invariants(check);
    expect(histogram.quantileMs(0.5, 5000)).toBeNaN();
    expect(histogram.count).toBe(0);
  });
});

function refusal(action: () => void): string {
  try {
    action();
    return '';
  } catch (error) {
    return `${(error as { code: string }).code}: ${(error as Error).message}`;
  }
}

describe('admission by learned latency', () => {
  it('refuses only what would have been late, and what it admits is in time, on a steady device', () => {
    const loads = fc.record({
      bytesPerMs: fc.double({ min: 1e5, max: 3e6, noNaN: true }),
      baseMs: fc.double({ min: 0.02, max: 2, noNaN: true }),
      outstanding: fc.integer({ min: 1, max: 64 }),
      groups: fc.integer({ min: 1, max: 3 }),
      deadlineFactor: fc.oneof(
        fc.double({ min: 0.05, max: 0.6, noNaN: true }),
        fc.double({ min: 1.8, max: 8, noNaN: true }),
      ),
    });
    fc.assert(
      fc.property(loads, ({ bytesPerMs, baseMs, outstanding, groups, deadlineFactor }) => {
        const device = new SimulatedDevice([group(0), group(1), group(2), group(3)], { bytesPerMs, baseMs });
        for (let id = 1; id <= groups; id++) device.load(id, outstanding, 64 * KIB);
        device.runUntil(2000);
        // What it really takes, by asking for it.
        const probes: number[] = [];
        for (let i = 0; i < 20; i++) {
          const probe = device.submit(1, 64 * KIB);
          while (!(probe.doneAtMs <= device.nowMs)) device.runUntil(device.nowMs + 5);
          probes.push(probe.doneAtMs - probe.submittedAtMs);
        }
        const realMs = probes.sort((a, b) => a - b)[10];
        const deadlineMs = realMs * deadlineFactor;
        const before = device.queue.inFlight + device.queue.queued;
        const answer = refusal(() => device.queue.admit(1, false, 64 * KIB, deadlineMs));
        expect(device.queue.inFlight + device.queue.queued).toBe(before);
        expect(answer === '').toBe(deadlineFactor > 1);
      }),
      { numRuns: 60 },
    );
  });

  it('knows nothing of a new device, and lets everything through', () => {
    const device = new SimulatedDevice([group(0)], { bytesPerMs: 1e6, baseMs: 1 });
    expect(refusal(() => device.queue.admit(0, true, 4 * KIB, 0.001))).toBe('');
  });

  it('refuses a heartbeat while the device hangs, probes, and recovers with it', () => {
    const device = new SimulatedDevice(
      [group(0)],
      { bytesPerMs: 1e6, baseMs: 0.1 },
      { probeIntervalMs: 200 },
    );
    const heartbeat = (): string => refusal(() => device.queue.admit(0, true, 4 * KIB, 50));
    device.load(0, 4, 4 * KIB, true);
    device.runUntil(1000);
    expect(heartbeat()).toBe('');
    device.isFrozen = true;
    device.runUntil(1040);
    expect(heartbeat()).toBe('');
    device.runUntil(1060);
    expect(heartbeat()).toMatch(
      /^SUNSTAR_DEADLINE_UNMEETABLE: A write within 50 ms .* device 1:1, which takes 6\d\.\d\d ms/,
    );
    device.runUntil(1210);
    expect(heartbeat()).toBe('');
    expect(heartbeat()).toMatch(/^SUNSTAR_DEADLINE/);
    expect(device.queue.stats).toMatchObject({ refusedDeadlines: 2, probes: 1 });
    device.isFrozen = false;
    device.runUntil(1250);
    expect(heartbeat()).toBe('');
  });

  it('counts the turn in the queue and the cap of the group', () => {
    const capped = group(1);
    capped.ioBytesPerSecond = 1_000_000;
    const device = new SimulatedDevice([group(0), capped], { bytesPerMs: 1e6, baseMs: 0.1 });
    device.load(0, 8, 64 * KIB);
    device.runUntil(500);
    expect(device.queue.estimateMs(1, false, 64 * KIB)).toBeLessThan(10);
    for (let i = 0; i < 10; i++) device.submit(1, 128 * KIB);
    // 1.28 MiB ahead at 1 MB/s, less the burst.
    const expected = device.queue.estimateMs(1, false, 64 * KIB);
    expect(expected).toBeGreaterThan(1000);
    expect(expected).toBeLessThan(2000);
  });
});
