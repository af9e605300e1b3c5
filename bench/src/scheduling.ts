import { setImmediate as immediate } from 'node:timers/promises';
import { attach, maybeYield, needPreempt, yieldNow } from '@sunstar/runtime';
import type { Benchmark, BenchmarkCase, Measurement, PreparedBenchmark } from './harness/benchmark.js';
import { nanosecondsInTurns, nanosecondsPerOperationAsync } from './harness/timing.js';
import { Groups, Immediates, type Scheduling, underLoad } from './scheduling/load.js';

/** Of a preemption point, in one loop: far less than a quota. */
const CALLS = 10_000;
const SHARES = [100, 300] as const;
/** What cannot be told from nothing. */
const FLOOR_PERCENT = 0.01;
const IMMEDIATES = 'setImmediate at the quota';
const ONE_GROUP = 'all in one group';
const NO_LOAD = 'the same without any load';

function percentOff(ratio: number): number {
  const wanted = SHARES[1] / SHARES[0];
  return Math.max((Math.abs(ratio - wanted) / wanted) * 100, FLOOR_PERCENT);
}

function quantile(sorted: readonly number[], part: number): number {
  return sorted[Math.min(Math.floor(sorted.length * part), sorted.length - 1)];
}

function shareCase(groups: Scheduling, oneGroup: Scheduling): BenchmarkCase {
  const measure = (scheduling: Scheduling) => async (): Promise<Measurement> =>
    percentOff((await underLoad(scheduling)).ratio);
  return {
    metrics: [
      {
        case: `work of two groups with ${SHARES.join(' and ')} shares: off ${SHARES[0] / SHARES[0]}:${SHARES[1] / SHARES[0]} by`,
        unit: '%',
        higherIsBetter: false,
      },
    ],
    ours: measure(groups),
    peers: [
      { peer: ONE_GROUP, measure: measure(oneGroup) },
      { peer: IMMEDIATES, measure: measure(new Immediates()) },
    ],
  };
}

function waitCase(groups: Scheduling, oneGroup: Scheduling): BenchmarkCase {
  const measure = (scheduling: Scheduling, isIdle: boolean) => async (): Promise<Measurement> => {
    const { waitsMs } = await underLoad(scheduling, isIdle);
    return [0.5, 0.99].map((part) => quantile(waitsMs, part));
  };
  return {
    metrics: ['p50', 'p99'].map((which) => ({
      case: `latency-sensitive requests beside both: wait, ${which}`,
      unit: 'ms',
      higherIsBetter: false,
    })),
    ours: measure(groups, false),
    peers: [
      { peer: ONE_GROUP, measure: measure(oneGroup, false) },
      { peer: IMMEDIATES, measure: measure(new Immediates(), false) },
      { peer: NO_LOAD, measure: measure(groups, true) },
    ],
  };
}

function costCase(
  name: string,
  body: () => void,
  theirs: Readonly<Record<string, () => void>>,
): BenchmarkCase {
  return {
    metrics: [{ case: name, unit: 'ns/op', higherIsBetter: false }],
    ours: () => nanosecondsInTurns(CALLS, body),
    peers: Object.entries(theirs).map(([peer, their]) => ({
      peer,
      measure: () => nanosecondsInTurns(CALLS, their),
    })),
  };
}

function yieldCase(): BenchmarkCase {
  const measure = (wait: () => Promise<unknown> | null) => (): Promise<number> =>
    nanosecondsPerOperationAsync(CALLS, async () => {
      for (let i = 0; i < CALLS; i++) await wait();
    });
  return {
    metrics: [{ case: 'yield', unit: 'ns/op', higherIsBetter: false }],
    ours: measure(yieldNow),
    peers: [
      { peer: 'setImmediate of node:timers/promises', measure: measure(() => immediate()) },
      { peer: 'await null, which yields to nobody', measure: measure(() => null) },
    ],
  };
}

let sink = 0;

function costCases(): BenchmarkCase[] {
  const emptyLoop = (): void => {
    for (let i = 0; i < CALLS; i++) if (sink < 0) sink++;
  };
  const clock = (): void => {
    for (let i = 0; i < CALLS; i++) if (performance.now() < 0) sink++;
  };
  return [
    costCase(
      'needPreempt()',
      () => {
        for (let i = 0; i < CALLS; i++) if (needPreempt()) sink++;
      },
      { 'performance.now()': clock, 'a loop without it': emptyLoop },
    ),
    costCase(
      'maybeYield(), nothing due',
      () => {
        for (let i = 0; i < CALLS; i++) if (maybeYield() !== undefined) sink++;
      },
      { 'performance.now()': clock, 'a loop without it': emptyLoop },
    ),
    yieldCase(),
  ];
}

const benchmark: Benchmark = {
  description:
    'scheduling groups: shares, waits of a latency-sensitive group, and what preemption points cost',
  prepare(): Promise<PreparedBenchmark> {
    const shard = attach({ stalls: false });
    const costs = costCases();
    // The loads come last: their groups cannot be taken away again.
    const loads = { groups: undefined as Groups | undefined, oneGroup: undefined as Groups | undefined };
    const late = (which: 'groups' | 'oneGroup'): Scheduling => {
      const chosen = (): Groups => {
        loads.groups ??= new Groups(
          shard.groups.create({ name: 'small', shares: SHARES[0] }),
          shard.groups.create({ name: 'large', shares: SHARES[1] }),
          shard.groups.create({ name: 'urgent', shares: 100, latencySensitive: true }),
        );
        const one = shard.groups.find('small') ?? shard.groups.default;
        loads.oneGroup ??= new Groups(one, one, one);
        return loads[which] as Groups;
      };
      return {
        start: (isLarge, loop) => chosen().start(isLarge, loop),
        pause: () => chosen().pause(),
        request: (delayMs, arrived) => chosen().request(delayMs, arrived),
      };
    };
    return Promise.resolve({
      cases: [
        ...costs,
        shareCase(late('groups'), late('oneGroup')),
        waitCase(late('groups'), late('oneGroup')),
      ],
    });
  },
};

export default benchmark;
