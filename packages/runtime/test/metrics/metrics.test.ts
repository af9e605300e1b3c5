import { describe, expect, it } from 'vitest';
import { Metrics } from '../../src/metrics/metrics.js';
import { prometheusText } from '../../src/metrics/prometheus.js';

function metricsOf(shard: number, errors: unknown[] = []): Metrics {
  return new Metrics({ shard }, (_name, error) => errors.push(error));
}

describe('Metrics', () => {
  it('are read when somebody asks, and joined over shards', async () => {
    const shards = [metricsOf(0), metricsOf(1)];
    let served = 1;
    for (const metrics of shards) {
      metrics.counter({ name: 'served_total', help: 'Served.', read: () => served });
      metrics.gauge({
        name: 'used_bytes',
        help: 'Used.',
        read: () => [{ value: 7, labels: { group: 'cache' } }],
      });
    }
    served = 42;
    const text = await prometheusText(await Promise.all(shards.map((metrics) => metrics.collect())));
    expect(text).toContain('# TYPE served_total counter');
    expect(text).toContain('served_total{shard="0"} 42');
    expect(text).toContain('served_total{shard="1"} 42');
    expect(text).toContain('used_bytes{group="cache",shard="1"} 7');
  });

  it('export latencies as a histogram, with several sets of labels', async () => {
    const metrics = metricsOf(3);
    const get = metrics.latency({ name: 'command_seconds', help: 'Commands.', labels: { command: 'get' } });
    metrics.latency({ name: 'command_seconds', help: 'Commands.', labels: { command: 'set' } });
    metrics.invariants();
    get.record(1.5);
    get.record(1000);
    const text = await prometheusText([await metrics.collect()]);
    expect(text).toContain('# TYPE command_seconds histogram');
    expect(text).toContain('command_seconds_bucket{command="get",le="0.001024",shard="3"} 0');
    expect(text).toContain('command_seconds_bucket{command="get",le="0.002048",shard="3"} 1');
    expect(text).toContain('command_seconds_bucket{command="get",le="+Inf",shard="3"} 2');
    expect(text).toContain('command_seconds_sum{command="get",shard="3"} 1.0015');
    expect(text).toContain('command_seconds_count{command="set",shard="3"} 0');
  });

  it('include those of another registry', async () => {
    const { Counter, Registry } = await import('prom-client');
    const registry = new Registry();
    new Counter({ name: 'own_total', help: 'Own.', labelNames: ['kind'], registers: [registry] }).inc(
      { kind: 'x' },
      5,
    );
    const metrics = metricsOf(2);
    metrics.addSource(registry);
    expect(await prometheusText([await metrics.collect()])).toContain('own_total{kind="x",shard="2"} 5');
  });

  it('leave out what cannot be read, and say so', async () => {
    const errors: unknown[] = [];
    const metrics = metricsOf(0, errors);
    const broken = new Error('broken');
    const fail = (): never => {
      throw broken;
    };
    metrics.gauge({ name: 'broken', help: 'Broken.', read: fail });
    metrics.addSource({ getMetricsAsJSON: fail });
    metrics.gauge({ name: 'works', help: 'Works.', read: () => 1 });
    const text = await prometheusText([await metrics.collect()]);
    expect(errors).toEqual([broken, broken]);
    expect(text).toContain('works{shard="0"} 1');
    expect(text).not.toContain('broken');
  });

  it('refuse bad names, names in use, and too many', () => {
    const metrics = metricsOf(0);
    const add = (name: string) => () => metrics.gauge({ name, help: '', read: () => 0 });
    expect(add('no spaces')).toThrow(expect.objectContaining({ code: 'SUNSTAR_INVALID_METRIC' }));
    add('same')();
    expect(add('same')).toThrow(expect.objectContaining({ code: 'SUNSTAR_METRIC_EXISTS' }));
    expect(() => {
      for (let i = 0; i < 5000; i++) add(`metric_${i}`)();
    }).toThrow(expect.objectContaining({ code: 'SUNSTAR_TOO_MANY_METRICS' }));
    metrics.invariants();
  });
});
