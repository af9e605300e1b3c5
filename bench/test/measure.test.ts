import { describe, expect, test } from 'vitest';
import type { BenchmarkCase } from '../src/harness/benchmark.js';
import { measureCase } from '../src/harness/measure.js';
import { formatNumber, formatTable, toJson } from '../src/harness/report.js';

/** A case whose measurements are scripted and whose order of calls is recorded. */
function scripted(calls: string[], overrides: Partial<BenchmarkCase> = {}): BenchmarkCase {
  const record = (name: string, values: number[]): (() => Promise<number>) => {
    let round = 0;
    return () => {
      calls.push(name);
      return Promise.resolve(values[round++]);
    };
  };
  return {
    metrics: [{ case: 'no-op', unit: 'ns/op', higherIsBetter: false }],
    ours: record('ours', [900, 10, 20, 30]),
    peers: [
      { peer: 'alpha', measure: record('alpha', [900, 20, 40, 60]) },
      { peer: 'beta', measure: record('beta', [900, 5, 10, 60]) },
    ],
    setup: () => {
      calls.push('setup');
      return Promise.resolve();
    },
    teardown: () => {
      calls.push('teardown');
      return Promise.resolve();
    },
    ...overrides,
  };
}

describe('measureCase', () => {
  test('takes turns, leaves the warm-up out, and shares one measurement of ours among all peers', async () => {
    const calls: string[] = [];
    const rows = await measureCase(scripted(calls), 3);
    const round = ['ours', 'alpha', 'beta'];
    expect(calls).toEqual(['setup', ...round, ...round, ...round, ...round, 'teardown']);
    expect(rows).toEqual([
      {
        case: 'no-op',
        peer: 'alpha',
        unit: 'ns/op',
        ours: 20,
        theirs: 40,
        ratio: 2,
        ratioMin: 2,
        ratioMax: 2,
        rounds: 3,
        higherIsBetter: false,
      },
      {
        case: 'no-op',
        peer: 'beta',
        unit: 'ns/op',
        ours: 20,
        theirs: 10,
        ratio: 0.5,
        ratioMin: 0.5,
        ratioMax: 2,
        rounds: 3,
        higherIsBetter: false,
      },
    ]);
  });

  test('gives a row for each metric and peer', async () => {
    const rows = await measureCase(
      scripted([], {
        metrics: [
          { case: 'rate', unit: 'calls/s', higherIsBetter: true },
          { case: 'latency', unit: 'µs', higherIsBetter: false },
        ],
        ours: () => Promise.resolve([100, 4]),
        peers: [{ peer: 'alpha', measure: () => Promise.resolve([50, 8]) }],
      }),
      2,
    );
    expect(rows.map((row) => [row.case, row.ours, row.theirs, row.ratio])).toEqual([
      ['rate', 100, 50, 2],
      ['latency', 4, 8, 2],
    ]);
  });

  test.each([[Number.NaN], [0], [-1], [Number.POSITIVE_INFINITY]])(
    'refuses a measurement of %d and still tears down',
    async (value) => {
      const calls: string[] = [];
      const broken = scripted(calls, { ours: () => Promise.resolve(value) });
      await expect(measureCase(broken, 1)).rejects.toThrow(/ours measured \[.*\] for "no-op"/);
      expect(calls.at(-1)).toBe('teardown');
    },
  );

  test('refuses a measurement with too few numbers', async () => {
    const broken = scripted([], { ours: () => Promise.resolve([]) });
    await expect(measureCase(broken, 1)).rejects.toThrow(RangeError);
  });
});

describe('report', () => {
  test('writes one document for one benchmark and an array for several', async () => {
    const rows = await measureCase(scripted([]), 3);
    expect(JSON.parse(toJson([{ name: 'ring', rows }]))).toEqual({ name: 'ring', rows });
    expect(
      JSON.parse(
        toJson([
          { name: 'ring', rows },
          { name: 'smp', rows: [] },
        ]),
      ),
    ).toEqual([
      { name: 'ring', rows },
      { name: 'smp', rows: [] },
    ]);
    expect(Object.keys(rows[0]).join(' ')).toBe(
      'case peer unit ours theirs ratio ratioMin ratioMax rounds higherIsBetter',
    );
  });

  test('prints every row of the table', async () => {
    const table = formatTable({ name: 'ring', rows: await measureCase(scripted([]), 3) });
    expect(table).toMatch(/no-op.*alpha.*ns\/op ↓.*20.*40.*2\.00×/);
    expect(table).toMatch(/no-op.*beta.*0\.50×/);
  });

  test.each([
    [1_234_567.8, '1,234,568'],
    [123.4, '123'],
    [12.345, '12.3'],
    [15.02, '15.0'],
    [0.012345, '0.0123'],
  ])('formats %d as %s', (value, text) => {
    expect(formatNumber(value)).toBe(text);
  });
});
