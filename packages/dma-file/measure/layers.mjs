// What the layers between an io_uring and `await` cost, by how many operations of 4 KiB are in flight:
//   node packages/dma-file/measure/layers.mjs [--directory .] [--rounds 5] [--depths 1,4,16,64]
//     [--programs fio,c,loop,callback,file,promise] [--write | --growing] [--cpu N]
// at random places of a file that was written before, or, growing, a new file from its beginning. Each program is a process of its own, in turns: more than a second for V8's compilers, and one that counts. From the device to the application:
//   fio       io_uring engine, the same flags
//   c         ring-loop.c, on a ring with the flags of a shard's
//   loop      JavaScript that waits inside the ring, without an event loop
//   callback  the reactor calls a function that submits the next
//   file      DmaFile.submitRead or submitWrite, with callbacks
//   promise   DmaFile.readInto or writeAligned, with await, as many async functions as operations
// A program may have, after colons: `byN` (c, loop, callback), for handing over operations as soon as N are ready, and
// not only in the system call that waits; DmaFile does so by 4 where more than 4 are in flight, and so do the others
// unless told otherwise; by1000 means never. `pollN` (callback, file, promise), for looking for answers for up to N µs
// before the thread sleeps.
import { spawnSync } from 'node:child_process';
import { constants, mkdtempSync, openSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { DmaFile } from '@sunstar/dma-file';
import { native } from '@sunstar/native';
import { attach, IORING_OP } from '@sunstar/runtime';

const FILE_BYTES = 256 * 1024 * 1024;
/** More than any program writes in its time. */
const GROWING_BYTES = 8 * 1024 ** 3;
const BLOCK_BYTES = 4096;
const WARM_UP_MS = 1200;
const RUN_MS = 1000;
/** How DmaFile hands over operations, see there. */
const FEW = 4;
const NEVER = 1000;

const somewhere = () => Math.floor(Math.random() * (FILE_BYTES / BLOCK_BYTES)) * BLOCK_BYTES;

/** Gives the position of each operation. */
function placer(isGrowing) {
  if (!isGrowing) return somewhere;
  let end = 0;
  return () => {
    end += BLOCK_BYTES;
    return end - BLOCK_BYTES;
  };
}

/** Counts operations per second and CPU time per operation after a warm-up. */
class Count {
  #from = performance.now() + WARM_UP_MS;
  #cpu;
  #operations = 0;
  #stats;

  /** Counts one that has ended. @returns Whether it is over. */
  ended(result) {
    if (result !== BLOCK_BYTES) throw new Error(`an operation returned ${result}`);
    const nowMs = performance.now();
    if (nowMs < this.#from) return false;
    if (this.#cpu === undefined) {
      this.#from = nowMs;
      this.#cpu = process.cpuUsage();
      this.#stats = attach().reactor.stats;
    }
    this.#operations++;
    return nowMs >= this.#from + RUN_MS;
  }

  print() {
    const { user, system } = process.cpuUsage(this.#cpu);
    const count = this.#operations;
    const { stats } = attach().reactor;
    const per = (key) => (stats[key] - this.#stats[key]) / count;
    console.log(
      JSON.stringify({
        rate: (count * 1000) / (performance.now() - this.#from),
        userUs: user / count,
        systemUs: system / count,
        ticks: per('ticks'),
        sleeps: per('sleeps'),
        enters: per('enters'),
      }),
    );
    process.exit();
  }
}

/** Nothing but typed arrays and native calls. */
function loop({ fd, opcode, depth, handOverBy, isGrowing }, addresses) {
  const place = placer(isGrowing);
  const ring = native.createRing(256, 512, false);
  const queues = new Int32Array(ring.queues);
  const entries = new Int32Array(ring.entries);
  const control = new Int32Array(ring.control);
  const mask = ring.cqEntries - 1;
  let tail = 0;
  let handedOver = 0;
  const handOver = (minComplete) => {
    ring.ring.enter(minComplete);
    handedOver = tail;
  };
  const submit = (slot) => {
    const entry = (tail & (ring.sqEntries - 1)) * 16;
    const address = addresses[slot];
    entries[entry] = opcode;
    entries[entry + 1] = fd;
    const position = place();
    entries[entry + 2] = position >>> 0;
    entries[entry + 3] = Math.floor(position / 2 ** 32);
    entries[entry + 4] = address >>> 0;
    entries[entry + 5] = Math.floor(address / 2 ** 32);
    entries[entry + 6] = BLOCK_BYTES;
    entries[entry + 8] = slot;
    queues[ring.sqTail] = ++tail;
    if (tail - handedOver >= handOverBy) handOver(0);
  };
  for (let slot = 0; slot < depth; slot++) submit(slot);
  const count = new Count();
  for (let head = 0, isOver = false; !isOver; ) {
    if (Atomics.load(queues, ring.cqTail) === head) handOver(1);
    const end = Atomics.load(queues, ring.cqTail);
    while (head !== end) {
      const at = ring.cqes + (head & mask) * 4;
      const slot = queues[at];
      isOver = count.ended(queues[at + 2]);
      control[4] = ++head;
      submit(slot);
    }
    Atomics.store(queues, ring.cqHead, head);
  }
  count.print();
}

function callback({ fd, opcode, depth, handOverBy, isGrowing }, addresses) {
  const place = placer(isGrowing);
  const { reactor } = attach();
  const count = new Count();
  for (let slot = 0; slot < depth; slot++) {
    const address = addresses[slot];
    const next = () => {
      reactor.submit(operation, opcode, fd, address, BLOCK_BYTES, place());
      if (handOverBy < NEVER) reactor.submitNow(handOverBy);
    };
    const operation = {
      complete(result) {
        if (count.ended(result)) count.print();
        next();
      },
    };
    next();
  }
}

async function file({ path, isWrite, isGrowing, depth }, buffers) {
  const place = placer(isGrowing);
  const file = await DmaFile.open(path, { flags: isWrite ? 'a' : 'r', direct: 'require', depth });
  const count = new Count();
  for (let slot = 0; slot < depth; slot++) {
    const next = () => {
      if (isWrite) file.submitWrite(operation, place(), buffers[slot], BLOCK_BYTES);
      else file.submitRead(operation, place(), buffers[slot], BLOCK_BYTES);
    };
    const operation = {
      complete(result) {
        if (count.ended(result)) count.print();
        next();
      },
    };
    next();
  }
}

async function promise({ path, isWrite, isGrowing, depth }, buffers) {
  const place = placer(isGrowing);
  const file = await DmaFile.open(path, { flags: isWrite ? 'a' : 'r', direct: 'require', depth });
  const count = new Count();
  const run = async (buffer) => {
    for (;;) {
      const result = isWrite
        ? await file.writeAligned(place(), buffer, BLOCK_BYTES)
        : await file.readInto(place(), buffer, BLOCK_BYTES);
      if (count.ended(result)) count.print();
    }
  };
  await Promise.all(buffers.map(run));
}

const PROGRAMS = { loop, callback, file, promise };

/** `name:by1:poll50` */
function parse(program, depth) {
  const [name, ...rest] = program.split(':');
  const after = (prefix) => rest.find((one) => one.startsWith(prefix))?.slice(prefix.length);
  const idlePollUs = Number(after('poll') ?? 0);
  return { name, idlePollUs, handOverBy: Number(after('by') ?? (depth > FEW ? FEW : NEVER)) };
}

async function runHere({ program, path, isWrite, isGrowing, depth, cpu }) {
  const { name, idlePollUs, handOverBy } = parse(program, depth);
  const { memory } = attach({ idlePollUs });
  // V8's other threads stay free to run elsewhere.
  if (cpu !== undefined) native.pinThread([Number(cpu)]);
  const buffers = Array.from({ length: depth }, () => memory.allocateAligned(BLOCK_BYTES, BLOCK_BYTES));
  const job = { path, isWrite, isGrowing, depth, handOverBy };
  if (name === 'file' || name === 'promise') {
    await PROGRAMS[name](job, buffers);
    return;
  }
  const fd = openSync(
    path,
    (isWrite ? constants.O_WRONLY | constants.O_CREAT : constants.O_RDONLY) | constants.O_DIRECT,
  );
  const opcode = isWrite ? IORING_OP.WRITE : IORING_OP.READ;
  PROGRAMS[name](
    { ...job, fd, opcode },
    buffers.map((buffer) => memory.arena.address + buffer),
  );
}

function spawn(command, args, cpu) {
  const pinned = cpu === undefined ? [command, ...args] : ['taskset', '-c', cpu, command, ...args];
  const { stdout, stderr, status } = spawnSync(pinned[0], pinned.slice(1));
  if (status !== 0) throw new Error(`${command}: ${stderr}`);
  return JSON.parse(stdout.toString());
}

function fio({ path, isWrite, isGrowing, depth }, cpu) {
  const { jobs } = spawn(
    'fio',
    [
      '--name=job',
      `--filename=${path}`,
      `--rw=${isGrowing ? '' : 'rand'}${isWrite ? 'write' : 'read'}`,
      `--bs=${BLOCK_BYTES}`,
      `--size=${isGrowing ? GROWING_BYTES : FILE_BYTES}`,
      '--fallocate=none',
      '--direct=1',
      '--ioengine=io_uring',
      `--iodepth=${depth}`,
      '--norandommap',
      '--randrepeat=0',
      '--time_based',
      '--ramp_time=300ms',
      `--runtime=${RUN_MS}ms`,
      '--output-format=json',
    ],
    cpu,
  );
  const [{ read, write, usr_cpu, sys_cpu }] = jobs;
  const { iops } = isWrite ? write : read;
  return { rate: iops, userUs: (usr_cpu * 1e4) / iops, systemUs: (sys_cpu * 1e4) / iops };
}

function build(directory) {
  const binary = join(directory, 'ring-loop');
  const source = fileURLToPath(new URL('ring-loop.c', import.meta.url));
  const { status, stderr } = spawnSync('cc', ['-O2', '-o', binary, source]);
  if (status !== 0) throw new Error(`cc: ${stderr}`);
  return binary;
}

function measure(program, job, binary, cpu) {
  if (job.isGrowing) rmSync(job.path, { force: true });
  if (program === 'fio') return fio(job, cpu);
  const { name, handOverBy } = parse(program, job.depth);
  if (name === 'c') {
    const fileBytes = job.isGrowing ? GROWING_BYTES : FILE_BYTES;
    const kind = job.isGrowing ? 2 : Number(job.isWrite);
    const numbers = [fileBytes, BLOCK_BYTES, job.depth, kind, handOverBy, 300, RUN_MS];
    return spawn(binary, [job.path, ...numbers.map(String)], cpu);
  }
  return spawn(process.execPath, [fileURLToPath(import.meta.url), JSON.stringify({ ...job, program, cpu })]);
}

const median = (values) => values.toSorted((a, b) => a - b)[values.length >> 1];

function report(program, samples, fioSamples) {
  const of = (key) => median(samples.map((sample) => sample[key]));
  let line = `  ${program.padEnd(20)} ${Math.round(of('rate')).toString().padStart(7)}/s`;
  if (fioSamples !== undefined) {
    const ratios = samples.map(({ rate }, round) => rate / fioSamples[round].rate).sort((a, b) => a - b);
    line += `  ${median(ratios).toFixed(2)} (${ratios[0].toFixed(2)}–${ratios.at(-1).toFixed(2)})`;
  }
  line += `  CPU ${of('userUs').toFixed(1)} + ${of('systemUs').toFixed(1)} µs`;
  if (samples[0].ticks > 0) {
    line += `; ${['ticks', 'sleeps', 'enters'].map((key) => `${of(key).toFixed(2)} ${key}`).join(', ')}`;
  }
  console.log(line);
}

async function compare() {
  const { values } = parseArgs({
    options: {
      directory: { type: 'string', default: '.' },
      rounds: { type: 'string', default: '5' },
      depths: { type: 'string', default: '1,4,16,64' },
      programs: { type: 'string', default: 'fio,c,loop,callback,file,promise' },
      write: { type: 'boolean', default: false },
      growing: { type: 'boolean', default: false },
      cpu: { type: 'string' },
    },
  });
  const directory = mkdtempSync(join(values.directory, 'sunstar-layers-'));
  const path = join(directory, 'file');
  try {
    const { memory } = attach({ stalls: false });
    const file = await DmaFile.open(path, { flags: 'w+', direct: 'require' });
    const buffer = memory.allocateAligned(1 << 20, 4096);
    for (let at = 0; at < FILE_BYTES; at += 1 << 20) await file.writeAligned(at, buffer, 1 << 20);
    await file.close();
    const programs = values.programs.split(',');
    const binary = programs.some((program) => parse(program).name === 'c') ? build(directory) : '';
    for (const depth of values.depths.split(',').map(Number)) {
      const job = { path, depth, isWrite: values.write || values.growing, isGrowing: values.growing };
      const samples = programs.map(() => []);
      for (let round = 0; round < Number(values.rounds); round++) {
        for (const [i, program] of programs.entries())
          samples[i].push(measure(program, job, binary, values.cpu));
      }
      console.log(
        `${values.growing ? 'growing' : values.write ? 'writes' : 'reads'}, ${depth} in flight: rate, of fio's, CPU user + kernel`,
      );
      for (const [i, program] of programs.entries())
        report(program, samples[i], samples[programs.indexOf('fio')]);
    }
  } finally {
    rmSync(directory, { recursive: true });
  }
}

const [first] = process.argv.slice(2);
if (first?.startsWith('{')) await runHere(JSON.parse(first));
else await compare();
