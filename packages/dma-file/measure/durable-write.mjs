// What one durable group commit costs, by the way it is submitted and the kind of file it goes to:
//   node packages/dma-file/measure/durable-write.mjs [directory] [rounds]
// wait: write, wait, fdatasync. linked: both in one submission (IOSQE_IO_LINK). dsync: one write with RWF_DSYNC.
import { join } from 'node:path';
import { DmaFile, unlink } from '@sunstar/dma-file';
import { attach, IORING_FSYNC_DATASYNC, IORING_OP, IOSQE } from '@sunstar/runtime';

const directory = process.argv[2] ?? '.';
const rounds = Number(process.argv[3] ?? 5);
const SIZES = [4096, 16384, 65536];
const MODES = ['wait', 'linked', 'dsync'];
/** Modes take turns after so many commits, so that a disturbance hits all of them. */
const TURN = 25;
const TURNS = 20;
const COMMITS = TURN * TURNS;
const RWF_DSYNC = 2;

const { reactor, memory } = attach();
const buffer = memory.allocateAligned(1 << 20, 4096);
memory.bytes.fill(7, buffer, buffer + (1 << 20));
const address = memory.arena.address + buffer;

/** Runs a turn of commits one after the other, from callbacks; resolves when the last one is durable. */
function commit(fd, size, mode, from, times) {
  return new Promise((resolve, reject) => {
    let done = from;
    let started = 0;
    const next = () => {
      started = performance.now();
      const flags = mode === 'linked' ? IOSQE.IO_LINK : 0;
      const opFlags = mode === 'dsync' ? RWF_DSYNC : 0;
      reactor.submit(written, IORING_OP.WRITE, fd, address, size, done * size, opFlags, flags);
      if (mode === 'linked') sync();
    };
    const sync = () => reactor.submit(synced, IORING_OP.FSYNC, fd, 0, 0, 0, IORING_FSYNC_DATASYNC);
    const synced = {
      complete(result) {
        if (result < 0) return reject(new Error(`errno ${-result}`));
        times[done++] = performance.now() - started;
        if (done === from + TURN) resolve();
        else next();
      },
    };
    const written = {
      complete(result) {
        if (result !== size) return reject(new Error(`wrote ${result}`));
        if (mode === 'dsync') synced.complete(0);
        else if (mode === 'wait') sync();
      },
    };
    next();
  });
}

async function prepare(path, kind, size) {
  const file = await DmaFile.open(path, { flags: 'w+', direct: 'require' });
  if (kind !== 'growing') await file.allocate(0, COMMITS * size);
  if (kind === 'prewritten') {
    for (let at = 0; at < COMMITS * size; at += 1 << 20) await file.writeAligned(at, buffer, 1 << 20);
  }
  await file.fsync();
  return file;
}

const results = new Map();
for (let round = 0; round < rounds; round++) {
  for (const size of SIZES) {
    for (const kind of ['growing', 'allocated', 'prewritten']) {
      const runs = [];
      for (const mode of MODES) {
        const path = join(directory, `durable-write-${mode}.tmp`);
        runs.push({
          mode,
          path,
          file: await prepare(path, kind, size),
          times: new Float64Array(COMMITS),
          cpuUs: 0,
        });
      }
      for (let turn = 0; turn < TURNS; turn++) {
        for (const run of runs) {
          const cpu = process.cpuUsage();
          await commit(run.file.fd, size, run.mode, turn * TURN, run.times);
          const used = process.cpuUsage(cpu);
          run.cpuUs += used.user + used.system;
        }
      }
      for (const { mode, path, file, times, cpuUs } of runs) {
        await file.close();
        await unlink(path);
        times.sort();
        const key = `${size} ${kind} ${mode}`;
        if (!results.has(key)) results.set(key, []);
        results
          .get(key)
          .push([times[COMMITS >> 1], times[Math.floor(COMMITS * 0.99)], cpuUs / COMMITS / 1000]);
      }
    }
  }
}
memory.free(buffer);

const median = (values) => values.sort((a, b) => a - b)[values.length >> 1];
for (const [key, runs] of results) {
  const [size, kind, mode] = key.split(' ');
  const at = (i) => (median(runs.map((run) => run[i])) * 1000).toFixed(0).padStart(5);
  console.log(
    `${size.padStart(6)} B  ${kind.padEnd(10)} ${mode.padEnd(6)}  p50 ${at(0)} µs  p99 ${at(1)} µs  CPU ${at(2)} µs`,
  );
}
