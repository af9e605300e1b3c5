import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { group, randomNumbers, SimulatedDevice, type TestGroup, TestRequest } from './simulated-device.ts';

const KIB = 1024;
/** About 3 GB/s. */
const FAST = { bytesPerMs: 3e6, baseMs: 0.05 };

function part(device: SimulatedDevice, groups: readonly TestGroup[], fromMs: number, toMs: number): number[] {
  const bytes = groups.map((one) => device.bytesOf(one.id, fromMs, toMs));
  const all = bytes.reduce((sum, value) => sum + value, 0);
  return bytes.map((value) => value / all);
}

describe('IoQueue: shares', () => {
  it('gives busy groups the device in proportion to their shares, whatever their sizes and depths', () => {
    const load = fc.record({
      shares: fc.integer({ min: 1, max: 1000 }),
      // More than what the device takes at a time, for else nothing waits.
      outstandingMib: fc.integer({ min: 6, max: 12 }),
      sizeKib: fc.constantFrom(4, 16, 64, 128),
    });
    fc.assert(
      fc.property(fc.array(load, { minLength: 2, maxLength: 4 }), (loads) => {
        const groups = loads.map((one, id) => group(id, one.shares));
        // The costs are those of the bytes alone, so that bytes can be compared.
        const costs = { readOperationBytes: 0, writeOperationBytes: 0 };
        const device = new SimulatedDevice(groups, FAST, { costs });
        for (const [id, one] of loads.entries()) {
          device.load(id, (one.outstandingMib * KIB) / one.sizeKib, one.sizeKib * KIB, id % 2 === 0);
        }
        device.runUntil(50);
        device.queue.invariants();
        // Long enough for a share of one in a thousand to be served a few times.
        device.runUntil(250);
        const sum = loads.reduce((all, one) => all + one.shares, 0);
        const total = groups.reduce((all, one) => all + device.bytesOf(one.id, 50, 250), 0);
        for (const [id, one] of loads.entries()) {
          const fair = (total * one.shares) / sum;
          // Off by at most a request of each group at either end of the time.
          expect(Math.abs(device.bytesOf(id, 50, 250) - fair)).toBeLessThan(fair * 0.02 + 3 * 128 * KIB);
        }
      }),
      { numRuns: 12 },
    );
  });

  it('follows changed shares at once', () => {
    const groups = [group(0, 100), group(1, 300)];
    const device = new SimulatedDevice(groups, FAST);
    device.load(0, 32, 128 * KIB, true);
    device.load(1, 32, 128 * KIB, true);
    device.runUntil(300);
    expect(part(device, groups, 50, 300)[1]).toBeCloseTo(0.75, 1);
    groups[0].ioShares = 900;
    device.runUntil(600);
    expect(part(device, groups, 310, 600)[0]).toBeCloseTo(0.75, 1);
  });

  it('divides within nested groups, and gives what one does not use to its siblings', () => {
    const parent = group(1, 300);
    const groups = [group(0, 100), parent, group(2, 100, parent), group(3, 200, parent)];
    const device = new SimulatedDevice(groups, FAST);
    device.load(0, 32, 64 * KIB);
    const stop = device.load(2, 32, 64 * KIB);
    device.load(3, 32, 64 * KIB);
    device.runUntil(200);
    const both = part(device, groups, 50, 200);
    expect(both[0]).toBeCloseTo(0.25, 1);
    expect(both[2]).toBeCloseTo(0.25, 1);
    expect(both[3]).toBeCloseTo(0.5, 1);
    stop();
    device.runUntil(400);
    const alone = part(device, groups, 250, 400);
    expect(alone[0]).toBeCloseTo(0.25, 1);
    expect(alone[3]).toBeCloseTo(0.75, 1);
    device.queue.invariants();
  });

  it('lets nobody save up turns: a group that comes back does not keep the others out', () => {
    const groups = [group(0), group(1)];
    const device = new SimulatedDevice(groups, FAST);
    device.load(0, 64, 128 * KIB);
    device.load(1, 1, 4 * KIB)();
    device.runUntil(1000);
    device.load(1, 64, 128 * KIB);
    device.runUntil(1100);
    expect(part(device, groups, 1010, 1100)[0]).toBeCloseTo(0.5, 1);
  });

  it('starves nobody: a request waits no longer than its share of what is ahead asks for', () => {
    const groups = [group(0, 1000), group(1, 1)];
    const device = new SimulatedDevice(groups, FAST);
    device.load(0, 64, 128 * KIB);
    device.runUntil(20);
    const one = device.submit(1, 4 * KIB);
    device.runUntil(40);
    // Its virtual time is that of the group that is served, so it is next.
    expect(one.startedAtMs).toBeLessThan(24);
    const more = Array.from({ length: 5 }, () => device.submit(1, 4 * KIB));
    device.runUntil(2000);
    expect(more.map((each) => Number.isNaN(each.startedAtMs))).toEqual(Array(5).fill(false));
  });
});

describe('IoQueue: the learned depth', () => {
  it('gives a group that is alone all it asks for', () => {
    const device = new SimulatedDevice([group(0)], FAST);
    device.load(0, 64, 128 * KIB);
    device.runUntil(100);
    expect(device.inFlight).toHaveLength(64);
    expect(device.queue.stats.depthLimitBytes).toBe(Number.POSITIVE_INFINITY);
  });

  it('converges on the latency goal for devices of any speed, and keeps them busy', () => {
    fc.assert(
      fc.property(
        fc.double({ min: 3e5, max: 1e7, noNaN: true }),
        fc.double({ min: 0.01, max: 0.2, noNaN: true }),
        fc.constantFrom(4, 64, 128),
        (bytesPerMs, baseMs, sizeKib) => {
          const device = new SimulatedDevice(
            [group(0), group(1)],
            { bytesPerMs, baseMs },
            { limitSingleGroup: true },
          );
          device.load(0, 2000, sizeKib * KIB);
          device.load(1, 2000, sizeKib * KIB);
          device.runUntil(500);
          const from = device.log.length;
          device.runUntil(700);
          const latencies = device.log.slice(from).map((one) => one.doneAtMs - one.startedAtMs);
          const mean = latencies.reduce((sum, value) => sum + value, 0) / latencies.length;
          // One request of the largest size must fit however slow the device is.
          const smallest = (2 * (128 + 20) * KIB) / bytesPerMs + baseMs;
          expect(mean).toBeLessThan(Math.max(0.75 * 1.2, 2.2 * smallest));
          if (smallest < 0.7) expect(mean).toBeGreaterThan(0.75 * 0.6);
          const costs = device.log.slice(from).reduce((sum, one) => sum + one.ioCost, 0);
          expect(costs / 200).toBeGreaterThan(bytesPerMs * 0.93);
        },
      ),
      { numRuns: 15 },
    );
  });

  it('aims at twice the latency of a device that cannot meet the goal, instead of starving it', () => {
    // A rotating disk: 5 ms for whatever, little bandwidth.
    const device = new SimulatedDevice([group(0), group(1)], { bytesPerMs: 1.5e5, baseMs: 5 });
    device.load(0, 32, 128 * KIB);
    device.load(1, 32, 128 * KIB);
    device.runUntil(3000);
    const from = device.log.length;
    device.runUntil(4000);
    const costs = device.log.slice(from).reduce((sum, one) => sum + one.ioCost, 0);
    expect(costs / 1000).toBeGreaterThan(1.5e5 * 0.9);
    expect(device.inFlight.length).toBeLessThan(20);
  });

  it('adapts when the device becomes slower and faster again', () => {
    const device = new SimulatedDevice([group(0), group(1)], { ...FAST });
    device.load(0, 500, 128 * KIB);
    device.load(1, 500, 128 * KIB);
    const depthAt = (ms: number): number => {
      device.runUntil(ms);
      return device.queue.stats.depthLimitBytes;
    };
    const fast = depthAt(300);
    device.speed.bytesPerMs /= 5;
    const slow = depthAt(800);
    device.speed.bytesPerMs *= 5;
    const again = depthAt(1100);
    expect(slow).toBeLessThan(fast / 2.5);
    expect(again).toBeGreaterThan(fast * 0.75);
    expect(again).toBeLessThan(fast * 1.25);
  });

  it('does not take a busy device for a slow one, however long it is busy', () => {
    const device = new SimulatedDevice(
      [group(0), group(1)],
      { bytesPerMs: 2e5, baseMs: 0.05 },
      { latencyGoalMs: 5, limitSingleGroup: true },
    );
    device.load(0, 40, 128 * KIB);
    device.runUntil(1000);
    const early = device.queue.stats.depthLimitBytes;
    device.runUntil(125_000);
    const late = device.queue.stats.depthLimitBytes;
    expect(late).toBeGreaterThan(early * 0.7);
    expect(late).toBeLessThan(early * 1.4);
  });

  it('holds while what a silent group has asked for is still waiting', () => {
    const device = new SimulatedDevice([group(0), group(1)], FAST, { activeWindowMs: 20 });
    device.load(1, 64, 128 * KIB);
    device.runUntil(10);
    for (let i = 0; i < 2000; i++) device.submit(0, 64 * KIB);
    device.runUntil(35);
    expect(device.queue.queued).toBeGreaterThan(500);
    expect(device.queue.stats.isLimited).toBe(true);
    device.runUntil(500);
    expect(device.queue.stats.isLimited).toBe(false);
  });

  it('keeps a reader fast beside a writer that would fill the device', () => {
    const latencyBeside = (limited: boolean): number => {
      const writer = limited ? 1 : 0;
      const device = new SimulatedDevice([group(0, 100), group(1, 100)], FAST);
      device.load(0, 1, 4 * KIB);
      device.load(writer, 256, 128 * KIB, true);
      device.runUntil(1000);
      const reads = device.log.filter(
        (one) => !one.isWrite && one.startedAtMs > 200 && !Number.isNaN(one.doneAtMs),
      );
      return Math.max(...reads.map((one) => one.doneAtMs - one.submittedAtMs));
    };
    expect(latencyBeside(true)).toBeLessThan(1.5);
    expect(latencyBeside(false)).toBeGreaterThan(5);
  });
});

/** A reader of small requests, one at a time, beside a writer that would fill the device; from one time to another. */
function readerBesideWriter(
  device: SimulatedDevice,
  fromMs: number,
  toMs: number,
): { readonly p99Ms: number; readonly writtenBytes: number; readonly waitedMs: number } {
  device.load(1, 256, 128 * KIB, true);
  device.load(0, 1, 4 * KIB);
  device.runUntil(toMs);
  const reads = device.log.filter((one) => !one.isWrite && one.startedAtMs > fromMs && one.doneAtMs < toMs);
  const latencies = reads.map((one) => one.doneAtMs - one.submittedAtMs).sort((a, b) => a - b);
  return {
    p99Ms: latencies[Math.floor(latencies.length * 0.99)],
    writtenBytes: device.bytesOf(1, fromMs, toMs),
    waitedMs: Math.max(...reads.map((one) => one.startedAtMs - one.submittedAtMs)),
  };
}

describe('IoQueue: the tail', () => {
  it('holds the 99th percentile of the reader to the goal, and gives the writer what that leaves', () => {
    const random = randomNumbers();
    // Some requests take several times as long as others: the mean would keep to the goal long before the tail does.
    const stallMs = (): number => (random() < 0.1 ? 0.15 * random() : 0);
    const device = new SimulatedDevice([group(0), group(1)], { ...FAST, stallMs });
    const { p99Ms, writtenBytes } = readerBesideWriter(device, 1000, 4000);
    expect(p99Ms).toBeGreaterThan(0.75 * 0.7);
    expect(p99Ms).toBeLessThan(0.75 * 1.15);
    expect(writtenBytes / 3000).toBeGreaterThan(FAST.bytesPerMs * 0.6);
  });

  it('does not hold the writer back for misses of the device itself', () => {
    const random = randomNumbers();
    // Stands still now and then, whatever it has to do.
    const stallMs = (): number => (random() < 0.02 ? 2 : 0);
    const device = new SimulatedDevice([group(0), group(1)], { ...FAST, baseMs: 0.2, stallMs });
    const stop = device.load(0, 1, 4 * KIB);
    device.runUntil(1000);
    stop();
    readerBesideWriter(device, 2000, 3000);
    const depths = Array.from({ length: 100 }, (_, i) => {
      device.runUntil(3000 + 20 * i);
      return device.queue.stats.depthLimitBytes;
    });
    // With two requests at a time it would be idle for a third of the time that it does not stand still.
    expect(depths.sort((a, b) => a - b)[50]).toBeGreaterThan(3 * 148 * KIB);
  });

  it("does not hold back slow writes that are in nobody's way", () => {
    // Writes take long, but are in nobody's way.
    const device = new SimulatedDevice([group(0), group(1)], { ...FAST, bytesPerMs: 3e7, writeBaseMs: 2 });
    const { p99Ms, writtenBytes } = readerBesideWriter(device, 1000, 2000);
    expect(p99Ms).toBeLessThan(0.75 * 1.15);
    // With as few in flight as keep to the goal it would be one in 2 ms.
    expect(writtenBytes / 1000).toBeGreaterThan(60 * 128 * KIB);
  });

  it('lets a reader that has nothing in flight go first, past a limit that others fill', () => {
    const device = new SimulatedDevice([group(0), group(1)], FAST);
    expect(readerBesideWriter(device, 200, 1000).waitedMs).toBe(0);
    device.queue.invariants();
  });

  it('keeps to the shares on a device that takes one request at a time', () => {
    const groups = [group(0, 100), group(1, 300)];
    const device = new SimulatedDevice(groups, { bytesPerMs: 1e5, baseMs: 0.01 }, { latencyGoalMs: 0.05 });
    device.load(0, 32, 128 * KIB, true);
    device.load(1, 32, 128 * KIB, true);
    device.runUntil(4000);
    expect(part(device, groups, 500, 4000)[1]).toBeCloseTo(0.75, 1);
    expect(device.inFlight.length).toBeLessThan(5);
  });
});

describe('IoQueue: caps', () => {
  const caps = fc.record({
    rate: fc.integer({ min: 1_000_000, max: 200_000_000 }),
    nested: fc.boolean(),
    sizes: fc.array(fc.constantFrom(4 * KIB, 64 * KIB, 128 * KIB, 1024 * KIB), {
      minLength: 1,
      maxLength: 4,
    }),
  });

  it('never exceeds a cap in any window, and uses it', () => {
    fc.assert(
      fc.property(caps, ({ rate, nested, sizes }) => {
        const capped = group(1);
        capped.ioBytesPerSecond = rate;
        const groups = [group(0), capped, group(2, 100, capped)];
        const device = new SimulatedDevice(groups, FAST);
        device.load(0, 8, 64 * KIB);
        for (const size of sizes) device.load(nested ? 2 : 1, 128, size);
        device.runUntil(500);
        device.queue.invariants();
        const mine = device.log.filter((one) => one.groupId !== 0);
        const burst = Math.max(rate * 0.02, 128 * KIB, ...sizes);
        // What went above the rate in the worst of all windows that end here.
        let above = 0;
        let atMs = 0;
        for (const one of mine) {
          above = Math.max(0, above - (rate * (one.startedAtMs - atMs)) / 1000) + one.sizeBytes;
          atMs = one.startedAtMs;
          if (above > burst + 1) throw new Error(`${above} bytes above the rate`);
        }
        const moved = mine.reduce((sum, one) => sum + one.sizeBytes, 0);
        expect(moved).toBeGreaterThan(rate * 0.5 * 0.85 - 1024 * KIB);
      }),
      { numRuns: 20 },
    );
  });

  it('notices a cap that is raised or taken away, also without any completion', () => {
    const capped = group(0);
    capped.ioBytesPerSecond = 1000;
    const device = new SimulatedDevice([capped], FAST);
    const requests = Array.from({ length: 4 }, () => device.submit(0, 128 * KIB));
    device.runUntil(1000);
    expect(requests.filter((one) => !Number.isNaN(one.startedAtMs))).toHaveLength(1);
    capped.ioBytesPerSecond = Number.POSITIVE_INFINITY;
    device.runUntil(1200);
    expect(requests.filter((one) => !Number.isNaN(one.startedAtMs))).toHaveLength(4);
    device.queue.invariants();
  });

  it('does not hold others back', () => {
    const capped = group(1);
    capped.ioBytesPerSecond = 1_000_000;
    const device = new SimulatedDevice([group(0), capped], FAST);
    device.load(1, 64, 128 * KIB);
    device.load(0, 64, 128 * KIB);
    device.runUntil(300);
    expect(device.bytesOf(0, 100, 300)).toBeGreaterThan(200 * FAST.bytesPerMs * 0.8);
  });
});

/** Any mixture of what can happen. */
const step = fc.oneof(
  {
    weight: 5,
    arbitrary: fc.record({
      do: fc.constant('submit' as const),
      group: fc.integer({ min: 0, max: 3 }),
      sizeKib: fc.integer({ min: 1, max: 300 }),
      isWrite: fc.boolean(),
    }),
  },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('cancel' as const), index: fc.nat() }) },
  {
    weight: 2,
    arbitrary: fc.record({
      do: fc.constant('wait' as const),
      ms: fc.double({ min: 0, max: 3, noNaN: true }),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      do: fc.constant('cap' as const),
      group: fc.integer({ min: 0, max: 3 }),
      rate: fc.constantFrom(1e5, 1e7, Number.POSITIVE_INFINITY),
    }),
  },
);

describe('IoQueue: any sequence', () => {
  it('starts every request once or cancels it, works while it can, and forgets nothing', () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 150 }), fc.boolean(), (steps, limitSingleGroup) => {
        const parent = group(1, 200);
        const groups = [group(0), parent, group(2, 50, parent), group(3, 500, parent)];
        const device = new SimulatedDevice(
          groups,
          { bytesPerMs: 1e5, baseMs: 0.1 },
          { limitSingleGroup, maxInFlight: 6 },
        );
        const all: TestRequest[] = [];
        const cancelled = new Set<TestRequest>();
        for (const one of steps) {
          if (one.do === 'submit') all.push(device.submit(one.group, one.sizeKib * KIB, one.isWrite));
          else if (one.do === 'wait') device.runUntil(device.nowMs + one.ms);
          else if (one.do === 'cap') groups[one.group].ioBytesPerSecond = one.rate;
          else if (all.length > 0) {
            const request = all[one.index % all.length];
            const waits = Number.isNaN(request.startedAtMs) && !cancelled.has(request);
            expect(device.queue.cancel(request)).toBe(waits);
            if (waits) cancelled.add(request);
          }
          device.queue.invariants();
          const { inFlight, queued } = device.queue;
          expect(inFlight).toBe(device.inFlight.length);
          expect(inFlight).toBeLessThanOrEqual(6);
          expect(queued).toBe(
            all.filter((each) => Number.isNaN(each.startedAtMs) && !cancelled.has(each)).length,
          );
        }
        for (const one of groups) one.ioBytesPerSecond = Number.POSITIVE_INFINITY;
        device.runUntil(device.nowMs + 5000);
        expect(device.log).toHaveLength(all.length - cancelled.size);
        expect(new Set(device.log).size).toBe(device.log.length);
        expect(device.log.some((each) => cancelled.has(each))).toBe(false);
        expect(device.queue.inFlight + device.queue.queued).toBe(0);
        expect(device.wheel.size).toBe(0);
        expect(device.currentGroup).toBe(0);
        device.queue.invariants();
        // In each group first come, first served.
        for (const one of groups) {
          const mine = device.log.filter((each) => each.groupId === one.id);
          const asked = all.filter((each) => each.groupId === one.id && !cancelled.has(each));
          expect(mine).toEqual(asked);
        }
      }),
      { numRuns: 300 },
    );
  });

  it('refuses what a full queue cannot take, and takes more when there is room', () => {
    const device = new SimulatedDevice([group(0), group(1)], FAST, { maxQueuedPerGroup: 3, maxInFlight: 1 });
    const requests = Array.from({ length: 5 }, () => new TestRequest(device, 0, 4 * KIB));
    expect(requests.map((one) => device.queue.submit(one))).toEqual([true, true, true, true, false]);
    expect(device.queue.isFull(0)).toBe(true);
    expect(device.queue.isFull(1)).toBe(false);
    expect(device.queue.cancel(requests[2])).toBe(true);
    expect(device.queue.submit(requests[4])).toBe(true);
    device.runUntil(10);
    expect(device.log).toEqual([requests[0], requests[1], requests[3], requests[4]]);
    expect(device.queue.stats.groups[0]).toMatchObject({
      operations: 4,
      refused: 1,
      cancelled: 1,
      queued: 0,
    });
  });

  it('starts a request in the group that asked', () => {
    const device = new SimulatedDevice([group(0), group(1)], FAST, { maxInFlight: 1 });
    const seen: number[] = [];
    class Seeing extends TestRequest {
      override start(): void {
        seen.push(device.currentGroup);
        super.start();
      }
    }
    device.submit(0, KIB);
    device.queue.submit(new Seeing(device, 1, KIB));
    device.runUntil(10);
    expect(seen).toEqual([1]);
  });
});
