import { once } from 'node:events';
import { readdirSync, readFileSync } from 'node:fs';
import { Worker } from 'node:worker_threads';
import { afterEach, describe, expect, it } from 'vitest';

const fixture = new URL('./fixtures/looping-thread.mjs', import.meta.url);
/** Longer than a test may take: whoever spins until then fails the test. */
const FOR_EVER_MS = 15_000;

interface Turn {
  readonly before: number;
  readonly after: number;
  readonly turn: number;
  readonly quotaUs: number;
}

const workers: Worker[] = [];

async function next(worker: Worker): Promise<Turn> {
  const [turn] = (await once(worker, 'message')) as [Turn];
  return turn;
}

async function startLoop(): Promise<{ worker: Worker; first: Turn }> {
  const worker = new Worker(fixture);
  workers.push(worker);
  return { worker, first: await next(worker) };
}

function spin(worker: Worker, limitMs: number, quotaUs: number): Promise<Turn> {
  const answer = next(worker);
  worker.postMessage({ limitMs, quotaUs });
  return answer;
}

/** The paths in /proc of the process's monitor threads. */
function monitors(): string[] {
  const tasks = readdirSync('/proc/self/task').map((id) => `/proc/self/task/${id}`);
  return tasks.filter((path) => {
    try {
      return readFileSync(`${path}/comm`, 'utf8') === 'sunstar-monitor\n';
    } catch {
      return false; // The thread has just ended.
    }
  });
}

function switches(monitor: string): number {
  const status = readFileSync(`${monitor}/status`, 'utf8');
  return Number(/^voluntary_ctxt_switches:\s+(\d+)$/m.exec(status)?.[1]);
}

afterEach(async () => {
  await Promise.all(workers.splice(0).map((worker) => worker.terminate()));
});

describe('the monitor', () => {
  it('tells a turn that has used up its quota, and begins the next one anew', async () => {
    const { worker, first } = await startLoop();
    expect(first.quotaUs).toBe(500);
    let last = -1;
    let anew = 0;
    for (let round = 0; round < 20; round++) {
      const turn = await spin(worker, FOR_EVER_MS, 500);
      expect(turn.after).toBe(1);
      expect(turn.turn).toBeGreaterThan(last);
      last = turn.turn;
      anew += 1 - turn.before;
    }
    // Not all: on a busy machine a thread may lose its CPU for a quota before it runs its first line.
    expect(anew).toBeGreaterThan(5);
  });

  it('leaves a turn alone that stays within its quota', async () => {
    const { worker } = await startLoop();
    expect(await spin(worker, 20, 10_000_000)).toMatchObject({ before: 0, after: 0 });
    expect(await spin(worker, FOR_EVER_MS, 1_000)).toMatchObject({ after: 1 });
  });

  it('watches several loops', async () => {
    const loops = [await startLoop(), await startLoop(), await startLoop()];
    const turns = await Promise.all(loops.map(({ worker }) => spin(worker, FOR_EVER_MS, 500)));
    for (const turn of turns) expect(turn.after).toBe(1);
    expect(monitors()).toHaveLength(1);
  });

  it.each(['exit', 'terminate', 'spin'])('ends with the last loop, by %s, and starts again', async (end) => {
    for (let round = 0; round < 5; round++) {
      const { worker } = await startLoop();
      const other = await startLoop();
      expect(monitors()).toHaveLength(1);
      await other.worker.terminate();
      expect(monitors()).toHaveLength(1);
      if (end === 'spin') worker.postMessage({ limitMs: FOR_EVER_MS, quotaUs: 10_000_000 });
      if (end === 'exit') {
        const ended = new Promise((resolve) => worker.once('exit', resolve));
        worker.postMessage('exit');
        await ended;
      } else {
        await worker.terminate();
      }
      expect(monitors()).toEqual([]);
    }
  });

  it('sleeps while every loop does, and wakes with the first', async () => {
    const { worker } = await startLoop();
    await startLoop();
    const [monitor] = monitors();
    for (let round = 0; round < 3; round++) {
      // It would switch hundreds of times in this while if it looked.
      for (let before = -1; before !== switches(monitor); ) {
        before = switches(monitor);
        await new Promise((resolve) => setTimeout(resolve, 200));
      }
      expect(await spin(worker, FOR_EVER_MS, 500)).toMatchObject({ after: 1 });
    }
  });
});
