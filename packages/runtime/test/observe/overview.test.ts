import { attach } from '@sunstar/runtime';
import { describe, expect, it } from 'vitest';
import type { MetricFamily } from '../../src/metrics/metric.js';
import { MetricSnapshot, overview } from '../../src/observe/overview.js';
import { overviewTable } from '../../src/observe/overview-table.js';

function family(
  name: string,
  ...samples: [value: number, labels: Record<string, string | number>][]
): MetricFamily {
  const values = samples.map(([value, labels]) => ({ value, labels }));
  return { name, help: '', type: 'gauge', aggregator: 'sum', values };
}

function snapshot(uptime: number, idle: number, ticks: number, bytes: number, up = 1): MetricSnapshot {
  return new MetricSnapshot([
    [family('sunstar_shard_up', [up, { shard: 0 }], [0, { shard: 1 }])],
    [
      family('sunstar_reactor_uptime_seconds_total', [uptime, { shard: 0 }]),
      family('sunstar_reactor_idle_seconds_total', [idle, { shard: 0 }]),
      family('sunstar_reactor_ticks_total', [ticks, { shard: 0 }]),
      family(
        'sunstar_group_shares',
        [100, { shard: 0, group: 'default' }],
        [300, { shard: 0, group: 'bulk' }],
      ),
      family(
        'sunstar_io_bytes_total',
        [bytes, { shard: 0, group: 'bulk', device: '8:0' }],
        [bytes, { shard: 0, group: 'bulk', device: '8:16' }],
        [1, { shard: 0, group: 'default', device: '8:0' }],
      ),
    ],
  ]);
}

describe('an overview', () => {
  it('has the rates between two moments, by shard and group', () => {
    const { shards, silent, groups } = overview(snapshot(12, 6, 1500, 4096), snapshot(10, 5, 500, 0));
    expect(silent).toEqual([1]);
    expect(shards).toHaveLength(1);
    expect(shards[0]).toMatchObject({
      shard: 0,
      utilisation: 0.5,
      ticksPerSecond: 500,
      diskBytesPerSecond: 4096,
    });
    expect(groups).toMatchObject([
      { group: 'default', shares: 100, diskBytesPerSecond: 0 },
      { group: 'bulk', shares: 300, diskBytesPerSecond: 4096 },
    ]);
  });

  it('begins anew with a shard that was started again, and with none', () => {
    const restarted = overview(snapshot(2, 1, 100, 0), snapshot(10, 9, 500, 0)).shards[0];
    expect(restarted).toMatchObject({ utilisation: 0.5, ticksPerSecond: 50 });
    expect(overview(snapshot(4, 3, 100, 0)).shards[0]).toMatchObject({
      utilisation: 0.25,
      ticksPerSecond: 25,
    });
  });

  it('is a table for people, which names the shards that are silent', () => {
    const text = overviewTable(overview(snapshot(12, 6, 1500, 4096), snapshot(10, 5, 500, 0)));
    expect(text).toMatch(/│ +shard │ +busy │/);
    expect(text).toMatch(/│ +0 │ 50\.0 % │ +500 │/);
    expect(text).toMatch(/│ +0 │ bulk +│ +300 │/);
    expect(text).toContain('No answer from shard 1');
  });

  it('of the current shard is its report', async () => {
    await using shard = attach({ memory: '16MiB' });
    const text = await shard.report();
    expect(text).toMatch(/│ +0 │ [\d.]+ % │/);
    expect(text).toContain('of 16 MiB');
    expect(text).toContain('Largest free block');
  });
});
