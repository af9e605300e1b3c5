import { Runtime } from '@sunstar/runtime';
import { expect } from 'vitest';

/** A shard that got no further for so long waits for a message that is there, or for one that was lost. */
const STUCK_MS = 8000;

/** Has shards ask each other for a while, and fails when a message is lost, wrong or out of order, or a wake-up lost. */
export async function storm(shards: number, durationMs: number, seed: number): Promise<void> {
  const counts = new Int32Array(new SharedArrayBuffer(4 * (2 + shards)));
  const started = Runtime.start({
    entry: new URL('./storm-shard.mjs', import.meta.url),
    shards,
    memory: '16MiB',
    log: 'silent',
    idlePollUs: 0,
    startTimeoutMs: durationMs + 60_000,
    data: { counts, seed, durationMs, slowest: 4 },
  });
  let ended = false;
  void started.finally(() => {
    ended = true;
  });
  let before = '';
  let changedMs = performance.now();
  while (!ended) {
    await new Promise((resolve) => setTimeout(resolve, 100));
    const now = counts.join();
    if (now !== before) changedMs = performance.now();
    before = now;
    expect(performance.now() - changedMs, `no progress of any shard since ${now}`).toBeLessThan(STUCK_MS);
  }
  const runtime = await started;
  await runtime.stop();
  expect(counts[0], 'answers that were wrong or out of order').toBe(0);
  expect(counts[1], 'answers that waited for a lost wake-up').toBe(0);
  for (let shard = 0; shard < shards; shard++) expect(counts[2 + shard]).toBeGreaterThan(0);
}
