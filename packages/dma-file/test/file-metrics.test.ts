import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import { mkdtempSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { DmaFile } from '@sunstar/dma-file';
import { attach } from '@sunstar/runtime';
import { afterAll, expect, it } from 'vitest';

// Every operation counts as slow.
const shard = attach({ memory: '64MiB', slowOperationMs: 0, log: 'silent' });
// Not the temporary directory, which may be in memory: O_DIRECT needs a disk.
const directory = mkdtempSync(join(import.meta.dirname, '.metrics-'));

afterAll(async () => {
  await shard.stop();
  rmSync(directory, { recursive: true });
});

async function samplesOf(name: string) {
  return (await shard.metrics.collect()).find((one) => one.name === name)?.values ?? [];
}

it('open files, disk requests and their latencies are in the metrics of the shard', async () => {
  const slow: unknown[] = [];
  const onSlow = (message: unknown): void => void slow.push(message);
  subscribe('sunstar:slow-operation', onSlow);
  const file = await DmaFile.open(join(directory, 'data'), { flags: 'w+' });
  expect(await samplesOf('sunstar_file_open')).toMatchObject([{ value: 1 }]);
  await file.write(0, new Uint8Array(4096));
  await file.fdatasync();
  await file.close();
  unsubscribe('sunstar:slow-operation', onSlow);
  for (const operation of ['open', 'write', 'fsync', 'close']) {
    expect(slow).toContainEqual({
      shard: 0,
      operation,
      on: 'file',
      group: 'default',
      latencyMs: expect.any(Number),
    });
  }
  expect(await samplesOf('sunstar_file_open')).toMatchObject([{ value: 0 }]);
  expect(await samplesOf('sunstar_file_operations_in_flight')).toMatchObject([{ value: 0 }]);
  const latencies = await samplesOf('sunstar_reactor_operation_seconds');
  for (const operation of ['write', 'fsync', 'open', 'close']) {
    const count = latencies.find(
      ({ metricName, labels }) => metricName?.endsWith('_count') && labels.operation === operation,
    );
    expect(count?.value, operation).toBeGreaterThanOrEqual(1);
  }
  const bytes = (await samplesOf('sunstar_io_bytes_total')).reduce((sum, { value }) => sum + value, 0);
  expect(bytes).toBe(file.isDirect ? 4096 : 0);
});
