import { spawnSync } from 'node:child_process';
import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { Runtime, type RuntimeOptions, type StallReport } from '@sunstar/runtime';
import { afterEach, describe, expect, it } from 'vitest';

const entry = new URL('../fixtures/observed-shard.mjs', import.meta.url);
const file = entry.href;
const source = readFileSync(fileURLToPath(entry), 'utf8').split('\n');

let runtime: Runtime | undefined;

/** Has shard 1 act; resolves with the first report that fits. */
async function stall(
  act: string,
  argument: number,
  fits: (report: StallReport) => boolean,
  options: Partial<RuntimeOptions> = {},
): Promise<StallReport> {
  let found: (report: StallReport) => void = () => {};
  const report = new Promise<StallReport>((resolve) => {
    found = resolve;
  });
  runtime = await Runtime.start({
    entry,
    shards: 2,
    memory: '64MiB',
    log: 'silent',
    inspect: false,
    data: { act, on: 1, argument },
    stalls: { reportsPerMinute: 1000, onStall: (one) => fits(one) && found(one) },
    ...options,
  });
  return report;
}

/** Whether spinFor() is on the stack, in the lines of its loop. */
function isInLoop({ frames }: StallReport): boolean {
  return frames.some(({ function: name }) => name === 'spinFor');
}

afterEach(async () => {
  await runtime?.stop().catch(() => {});
  runtime = undefined;
});

describe('a stalled shard', () => {
  it('is reported with the function and the line of the culprit, while it is stalled', async () => {
    const report = await stall('busyLoop', 200, isInLoop);
    expect(report).toMatchObject({ shard: 1, group: 'default' });
    expect(report.kind).not.toBe('native');
    expect(report.elapsedMs).toBeGreaterThanOrEqual(25);
    expect(report.culprit).toMatchObject({ function: 'spinFor', file });
    expect(source[(report.culprit?.line ?? 0) - 1]).toContain('the stalled line');
    expect(report.frames.map((frame) => frame.function)).toEqual(
      expect.arrayContaining(['spinFor', 'busyLoop']),
    );
  });

  it('is reported when the culprit runs in a microtask behind awaits', async () => {
    const report = await stall('afterAwaits', 200, isInLoop);
    expect(report.culprit).toMatchObject({ function: 'spinFor', file });
    expect(report.frames.map((frame) => frame.function)).toContain('nestedDeeply');
  });

  it('is reported with the scheduling group that runs', async () => {
    const report = await stall('in a group', 200, isInLoop);
    expect(report).toMatchObject({ shard: 1, group: 'work', culprit: { function: 'spinFor' } });
  });

  it('is not charged with the time before it has started', async () => {
    const startedMs = new Float64Array(new SharedArrayBuffer(8));
    let sinceStartMs = 0;
    const report = await stall(
      'slow start',
      500,
      (one) => {
        sinceStartMs = Date.now() - startedMs[0];
        return isInLoop(one);
      },
      { data: { act: 'slow start', on: 1, argument: 500, startedMs } },
    );
    // Date.now() counts whole milliseconds.
    expect(report.elapsedMs).toBeLessThanOrEqual(sinceStartMs + 1);
  });

  it('is reported even if it never comes back, and stops by force', async () => {
    const report = await stall(
      'for ever',
      0,
      ({ frames, elapsedMs }) => frames.length > 0 && elapsedMs > 100,
      { drainTimeoutMs: 100, stopTimeoutMs: 300 },
    );
    expect(report.culprit?.file).toBe(file);
    expect(source[(report.culprit?.line ?? 0) - 1]).toContain('for (;;)');
    await expect(runtime?.stop()).rejects.toMatchObject({ code: 'SUNSTAR_STOP_TIMEOUT' });
  });

  it('inside native code is reported as that, and where it was when it returns', async () => {
    const kinds: string[] = [];
    const report = await stall('nativeCall', 0.2, (one) => {
      kinds.push(one.kind);
      return one.kind === 'returned';
    });
    expect(kinds).toContain('native');
    expect(report.frames.map((frame) => frame.function)).toContain('nativeCall');
  });

  it('is published on the channel and counted in the metrics', async () => {
    const published: unknown[] = [];
    const onMessage = (message: unknown): void => void published.push(message);
    subscribe('sunstar:stall', onMessage);
    const report = await stall('busyLoop', 100, isInLoop);
    unsubscribe('sunstar:stall', onMessage);
    expect(published).toContain(report);
    // Counted when it is over.
    for (let text = ''; !text.includes('sunstar_stall_seconds_count{shard="1",group="default"}'); ) {
      text = (await runtime?.metrics()) ?? '';
    }
  });

  it('is not looked for when that is switched off, and only counted beyond the reports of a minute', async () => {
    const reports: StallReport[] = [];
    const listen = { onStall: (one: StallReport) => void reports.push(one) };
    runtime = await Runtime.start({
      entry,
      shards: 1,
      memory: '32MiB',
      log: 'silent',
      inspect: false,
      data: { act: 'busyLoop', on: 0, argument: 100 },
      stalls: { reportsPerMinute: 0, ...listen },
    });
    for (let text = ''; !text.includes('sunstar_stall_seconds_count{shard="0",group="default"}'); ) {
      text = await runtime.metrics();
    }
    expect(reports).toEqual([]);
  });
});

describe('a thread that is attached', () => {
  const program = fileURLToPath(new URL('../fixtures/attached-and-stalled.mjs', import.meta.url));
  const run = (options: object): { readonly log: string[]; readonly stalls: number } => {
    const { stdout, stderr } = spawnSync(process.execPath, [program, JSON.stringify(options)], {
      encoding: 'utf8',
    });
    const families = JSON.parse(stdout) as {
      name: string;
      values: { metricName?: string; value: number }[];
    }[];
    const counts = families.find(({ name }) => name === 'sunstar_stall_seconds')?.values ?? [];
    const stalls = counts.find(({ metricName }) => metricName?.endsWith('_count') === true)?.value ?? 0;
    return { log: stderr.split('\n').filter(Boolean), stalls };
  };

  it('reports its stalls when they are over, with the culprit, unless that is switched off', () => {
    const { log, stalls } = run({});
    const report = log
      .map((line) => JSON.parse(line) as { group: string; elapsedMs: number; stack: string[] })
      .find(({ stack }) => stack?.some((frame) => frame.includes('holdUp')));
    expect(report).toMatchObject({ group: 'default' });
    // The sample may have hit a function of Node's that the culprit calls.
    const frame = report?.stack.find((text) => text.includes('holdUp')) ?? '';
    const line = Number(/:(\d+):\d+\)$/.exec(frame)?.[1]);
    expect(readFileSync(program, 'utf8').split('\n')[line - 1]).toContain('the stalled line');
    expect(stalls).toBeGreaterThan(0);
    expect(run({ stalls: false })).toEqual({ log: [], stalls: 0 });
  });
});
