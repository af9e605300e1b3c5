// What a flush of the SegmentAppender costs, by what it does ahead of need:
//   node packages/dma-file/measure/group-commit.mjs [directory] [rounds]
// Each flush makes one record durable; the next one is appended when it is. The options take turns.
import { join } from 'node:path';
import { DmaFile, SegmentAppender, unlink } from '@sunstar/dma-file';
import { attach } from '@sunstar/runtime';

const directory = process.argv[2] ?? '.';
const rounds = Number(process.argv[3] ?? 5);
const TURN = 50;
const TURNS = 60;
const COMMITS = TURN * TURNS;
const MIB = 1 << 20;
const VARIANTS = {
  'nothing ahead': { allocationStepBytes: 0, zeroAheadBytes: 0 },
  allocated: { zeroAheadBytes: 0 },
  'zeros 256 KiB': { zeroAheadBytes: MIB / 4 },
  'zeros 1 MiB': { zeroAheadBytes: MIB },
  'zeros 4 MiB': { zeroAheadBytes: 4 * MIB },
};

const { memory } = attach();
const record = memory.allocate(65536);
memory.bytes.fill(7, record, record + 65536);

function commit(run, size) {
  return new Promise((resolve, reject) => {
    let left = TURN;
    let started = 0;
    const next = () => {
      started = performance.now();
      run.appender.appendRange(record, size);
      run.appender.requestFlush();
    };
    run.onFlushed = () => {
      run.times[run.count++] = performance.now() - started;
      if (--left === 0) resolve();
      else next();
    };
    run.onError = reject;
    next();
  });
}

const results = new Map();
for (let round = 0; round < rounds; round++) {
  for (const size of [128, 4096, 32768]) {
    const runs = [];
    for (const [name, options] of Object.entries(VARIANTS)) {
      const path = join(directory, `group-commit-${runs.length}.tmp`);
      const file = await DmaFile.open(path, { flags: 'w+', direct: 'require' });
      const run = { name, path, times: new Float64Array(COMMITS), count: 0, cpuUs: 0 };
      run.appender = await SegmentAppender.open(file, {
        ...options,
        onFlushed: () => run.onFlushed(),
        onError: (error) => run.onError(error),
      });
      runs.push(run);
    }
    for (let turn = 0; turn < TURNS; turn++) {
      for (const run of runs) {
        const cpu = process.cpuUsage();
        await commit(run, size);
        const used = process.cpuUsage(cpu);
        run.cpuUs += used.user + used.system;
      }
    }
    for (const { name, path, times, cpuUs, appender } of runs) {
      await appender.close();
      await unlink(path);
      const mean = times.reduce((sum, time) => sum + time, 0) / COMMITS;
      times.sort();
      const key = `${String(size).padStart(6)} B  ${name.padEnd(14)}`;
      if (!results.has(key)) results.set(key, []);
      results
        .get(key)
        .push([times[COMMITS >> 1], times[Math.floor(COMMITS * 0.99)], mean, cpuUs / COMMITS / 1000]);
    }
  }
}
memory.free(record);

const median = (values) => values.sort((a, b) => a - b)[values.length >> 1];
for (const [key, runs] of results) {
  const at = (i) => (median(runs.map((run) => run[i])) * 1000).toFixed(0).padStart(5);
  console.log(`${key}  p50 ${at(0)} µs  p99 ${at(1)} µs  mean ${at(2)} µs  CPU ${at(3)} µs`);
}
