// What reading 4 KiB at random places, one at a time, costs by how much of Node is between two reads:
//   node packages/dma-file/measure/one-at-a-time.mjs [directory] [rounds]
// loop: JavaScript that enters the ring and waits there, without an event loop. callback: the reactor calls a function
// that submits the next read. promise: a DmaFile is read with await. fio: io_uring, the same flags. Each is a process of
// its own for a second, in turns.
import { spawnSync } from 'node:child_process';
import { constants, openSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { DmaFile } from '@sunstar/dma-file';
import { native } from '@sunstar/native';
import { attach, IORING_OP } from '@sunstar/runtime';

const FILE_BYTES = 256 * 1024 * 1024;
const READ_BYTES = 4096;
const WARM_UP_MS = 500;
const RUN_MS = 1000;
const MODES = ['loop', 'callback', 'promise'];

const somewhere = () => Math.floor(Math.random() * (FILE_BYTES / READ_BYTES)) * READ_BYTES;

/** Counts reads per second and CPU time per read after a warm-up. */
class Count {
  #from = performance.now() + WARM_UP_MS;
  #cpu;
  #reads = 0;

  /** @returns Whether it is over. */
  read() {
    const nowMs = performance.now();
    if (nowMs < this.#from) return false;
    this.#cpu ??= process.cpuUsage();
    this.#reads++;
    return nowMs >= this.#from + RUN_MS;
  }

  print() {
    const { user, system } = process.cpuUsage(this.#cpu);
    const rate = (this.#reads * 1000) / (performance.now() - this.#from);
    console.log(JSON.stringify({ rate, userUs: user / this.#reads, systemUs: system / this.#reads }));
  }
}

function checkRead(result) {
  if (result !== READ_BYTES) throw new Error(`a read returned ${result}`);
}

/** Nothing but typed arrays and one native call for each read. */
function loop(fd, address) {
  const ring = native.createRing(64, 256, false);
  const queues = new Int32Array(ring.queues);
  const entries = new Int32Array(ring.entries);
  const control = new Int32Array(ring.control);
  const count = new Count();
  for (let at = 0, over = false; !over; at++) {
    const entry = (at & (ring.sqEntries - 1)) * 16;
    const offset = somewhere();
    entries[entry] = IORING_OP.READ;
    entries[entry + 1] = fd;
    entries[entry + 2] = offset;
    entries[entry + 4] = address >>> 0;
    entries[entry + 5] = Math.floor(address / 2 ** 32);
    entries[entry + 6] = READ_BYTES;
    queues[ring.sqTail] = at + 1;
    while (Atomics.load(queues, ring.cqTail) === at) ring.ring.enter(1);
    checkRead(queues[ring.cqes + (at & (ring.cqEntries - 1)) * 4 + 2]);
    control[4] = at + 1;
    Atomics.store(queues, ring.cqHead, at + 1);
    over = count.read();
  }
  count.print();
}

function callback(fd, address) {
  const { reactor } = attach();
  const count = new Count();
  const next = () => reactor.submit(read, IORING_OP.READ, fd, address, READ_BYTES, somewhere());
  const read = {
    complete(result) {
      checkRead(result);
      if (count.read()) count.print();
      else next();
    },
  };
  next();
}

async function promise(file, buffer) {
  const count = new Count();
  do checkRead(await file.readInto(somewhere(), buffer, READ_BYTES));
  while (!count.read());
  count.print();
}

async function run(mode, path) {
  const { memory } = attach();
  const buffer = memory.allocateAligned(READ_BYTES, READ_BYTES);
  const address = memory.arena.address + buffer;
  if (mode === 'promise') {
    await promise(await DmaFile.open(path, { flags: 'r', direct: 'require' }), buffer);
    return;
  }
  const fd = openSync(path, constants.O_RDONLY | constants.O_DIRECT);
  if (mode === 'callback') callback(fd, address);
  else loop(fd, address);
}

function fio(path) {
  const { stdout } = spawnSync('fio', [
    '--name=read',
    `--filename=${path}`,
    '--rw=randread',
    `--bs=${READ_BYTES}`,
    `--size=${FILE_BYTES}`,
    '--direct=1',
    '--ioengine=io_uring',
    '--iodepth=1',
    '--time_based',
    `--ramp_time=${WARM_UP_MS}ms`,
    `--runtime=${RUN_MS}ms`,
    '--thread',
    '--output-format=json',
  ]);
  const { jobs } = JSON.parse(stdout.toString());
  const [{ read, usr_cpu, sys_cpu }] = jobs;
  return { rate: read.iops, userUs: (usr_cpu * 1e4) / read.iops, systemUs: (sys_cpu * 1e4) / read.iops };
}

async function compare(directory, rounds) {
  const path = join(directory, `sunstar-one-at-a-time-${process.pid}`);
  attach();
  try {
    const file = await DmaFile.open(path, { flags: 'w+', direct: 'require' });
    const { memory } = attach();
    const buffer = memory.allocateAligned(1 << 20, 4096);
    for (let at = 0; at < FILE_BYTES; at += 1 << 20) await file.writeAligned(at, buffer, 1 << 20);
    await file.close();
    const results = { fio: [], loop: [], callback: [], promise: [] };
    for (let round = 0; round < rounds; round++) {
      results.fio.push(fio(path));
      for (const mode of MODES) {
        const { stdout, stderr } = spawnSync(process.execPath, [fileURLToPath(import.meta.url), mode, path]);
        if (stdout.length === 0) throw new Error(stderr.toString());
        results[mode].push(JSON.parse(stdout.toString()));
      }
    }
    const median = (values) => values.toSorted((a, b) => a - b)[values.length >> 1];
    for (const [mode, samples] of Object.entries(results)) {
      const ratios = samples.map(({ rate }, round) => rate / results.fio[round].rate).sort((a, b) => a - b);
      const [rate, user, system] = ['rate', 'userUs', 'systemUs'].map((key) =>
        median(samples.map((s) => s[key])),
      );
      console.log(
        `${mode.padEnd(9)} ${Math.round(rate)} reads/s, ${median(ratios).toFixed(2)} of fio's ` +
          `(${ratios[0].toFixed(2)} to ${ratios.at(-1).toFixed(2)}), CPU ${user.toFixed(1)} + ${system.toFixed(1)} µs`,
      );
    }
  } finally {
    rmSync(path, { force: true });
  }
}

const [first = '.', second] = process.argv.slice(2);
if (MODES.includes(first)) await run(first, second);
else await compare(first, Number(second ?? 5));
