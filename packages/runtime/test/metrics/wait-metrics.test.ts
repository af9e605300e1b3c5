import { attach, Mutex, offload, Queue, Semaphore, sleep } from '@sunstar/runtime';
import { expect, test } from 'vitest';

const shard = attach({ memory: '16MiB', log: 'silent' });
const work = new URL('../offload/work.mjs', import.meta.url);
const requests = shard.groups.create({ name: 'requests' });

/** The values of a metric whose labels fit. */
async function values(name: string, labels: object): Promise<number[]> {
  const family = (await shard.metrics.collect()).find((one) => one.name === name);
  const fitting = family?.values.filter((one) =>
    Object.entries(labels).every(([label, value]) => one.labels[label] === value),
  );
  return fitting?.map(({ value }) => value) ?? [];
}

test('waits are counted by kind, name and scheduling group, with how they ended', async () => {
  const semaphore = new Semaphore(1, { name: 'budget', maxWaiters: 3 });
  await semaphore.acquire();
  const ends = await requests.run(async () => {
    const controller = new AbortController();
    const waits = [
      semaphore.acquire(),
      semaphore.acquire(1, { timeoutMs: 2 }),
      semaphore.acquire(1, { signal: controller.signal }),
      semaphore.acquire(),
    ];
    const settled = Promise.allSettled(waits);
    expect(await values('sunstar_sync_waiting', { name: 'budget' })).toEqual([3]);
    controller.abort();
    await sleep(10);
    semaphore.release();
    return settled;
  });
  expect(ends.map(({ status }) => status)).toEqual(['fulfilled', 'rejected', 'rejected', 'rejected']);
  const labels = { kind: 'semaphore', name: 'budget', group: 'requests', shard: 0 };
  expect(await values('sunstar_sync_waits_total', labels)).toEqual([3]);
  expect(await values('sunstar_sync_waiting', labels)).toEqual([0]);
  for (const reason of ['timeout', 'aborted', 'refused']) {
    expect(await values('sunstar_sync_failed_waits_total', { ...labels, reason })).toEqual([1]);
  }
  const [seconds] = await values('sunstar_sync_wait_seconds_total', labels);
  // The clock is that of the turns.
  expect(seconds).toBeGreaterThan(0.005);
  // What was free at once was no wait.
  expect(await values('sunstar_sync_waits_total', { ...labels, group: 'default' })).toEqual([]);
});

test('those without a name count together, and what breaks them is told apart', async () => {
  const before = (await values('sunstar_sync_waits_total', { kind: 'mutex', name: '' }))[0] ?? 0;
  for (const mutex of [new Mutex(), new Mutex()]) {
    await mutex.lock();
    const next = mutex.lock();
    mutex.unlock();
    await next;
  }
  expect(await values('sunstar_sync_waits_total', { kind: 'mutex', name: '' })).toEqual([before + 2]);
  const queue = new Queue<number>({ name: 'jobs' });
  const popping = queue.pop();
  queue.abort();
  await expect(popping).rejects.toThrow();
  const labels = { name: 'jobs', reason: 'rejected' };
  expect(await values('sunstar_sync_failed_waits_total', labels)).toEqual([1]);
});

test('offloaded calls are counted by group and limit, and how long they waited and ran', async () => {
  await requests.run(async () => {
    expect(await offload(work, 'add', [1, 2])).toBe(3);
    await expect(offload(work, 'fail', [1])).rejects.toThrow('failed on purpose');
    await expect(offload(work, 'sleepFor', [60_000], { timeoutMs: 1 })).rejects.toThrow();
  });
  const labels = { group: 'requests', limit: 'default', shard: 0 };
  for (const [end, count] of [
    ['returned', 1],
    ['threw', 1],
    ['timedOut', 1],
    ['refused', 0],
  ]) {
    expect(await values('sunstar_offload_calls_total', { ...labels, end })).toEqual([count]);
  }
  expect(await values('sunstar_offload_outstanding', labels)).toEqual([0]);
  const counts = async (name: string): Promise<number> => {
    const family = (await shard.metrics.collect()).find((one) => one.name === name);
    return family?.values.find(({ metricName }) => metricName === `${name}_count`)?.value ?? 0;
  };
  // The one that took too long may still be on its way back.
  expect(await counts('sunstar_offload_wait_seconds')).toBeGreaterThanOrEqual(2);
  expect(await counts('sunstar_offload_run_seconds')).toBeGreaterThanOrEqual(2);
  await shard.stop();
});
