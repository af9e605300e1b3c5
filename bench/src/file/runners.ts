import fs from 'node:fs';
import { DmaFile } from '@sunstar/dma-file';
import { native } from '@sunstar/native';
import { attach, type Completion, type ShardMemory } from '@sunstar/runtime';
import { type FileJob, type FileResult, runJob } from './job.js';

const ALIGNMENT_BYTES = 4096;

/** An aligned block for each operation in flight. */
function allocateSlots(memory: ShardMemory, { depth, sizeBytes }: FileJob): number[] {
  return Array.from({ length: depth }, () => {
    const offset = memory.allocateAligned(sizeBytes, ALIGNMENT_BYTES);
    memory.bytes.fill(offset & 0xff, offset, offset + sizeBytes);
    return offset;
  });
}

/** The main thread's CPUs, as they were: those of node:fs's threads, which inherit them, are not restricted. */
const cpus = native.allowedCpus();

/** Has the main thread run on one CPU until the function that is returned is called. */
function pin(cpu: number | undefined): () => void {
  if (cpu === undefined || typeof cpus === 'number') return () => {};
  const result = native.pinThread([cpu]);
  if (result < 0) throw new Error(`cannot run on CPU ${cpu}: error ${-result}`);
  return () => native.pinThread(cpus);
}

/** Does a job with {@link DmaFile}, by callbacks as fio does: no promise for each operation. */
export async function runOurs(memory: ShardMemory, job: FileJob): Promise<FileResult> {
  // Before anything is opened: the kernel's threads for what would block run where the thread may that first needs them.
  const unpin = pin(job.cpu);
  try {
    return await runPinned(memory, job);
  } finally {
    unpin();
  }
}

async function runPinned(memory: ShardMemory, job: FileJob): Promise<FileResult> {
  const file = await DmaFile.open(job.path, {
    flags: job.isWrite ? 'a' : 'r',
    direct: 'require',
    depth: 64,
    registerMemory: job.isRegistered === true,
    registerDescriptor: job.isRegistered === true,
  });
  const offsets = allocateSlots(memory, job);
  const completions: Completion[] = [];
  const { reactor } = attach();
  reactor.idlePollUs = job.idlePollUs ?? 0;
  try {
    return await runJob(job, (slot, position, done) => {
      completions[slot] ??= { complete: done };
      if (job.isWrite) file.submitWrite(completions[slot], position, offsets[slot], job.sizeBytes);
      else file.submitRead(completions[slot], position, offsets[slot], job.sizeBytes);
    });
  } finally {
    reactor.idlePollUs = 0;
    await file.close();
    for (const offset of offsets) memory.free(offset);
  }
}

/** Does a job with node:fs, by callbacks, on its thread pool. */
export async function runNode(memory: ShardMemory, job: FileJob, isDirect: boolean): Promise<FileResult> {
  const flags =
    (job.isWrite ? fs.constants.O_WRONLY | fs.constants.O_CREAT : fs.constants.O_RDONLY) |
    (isDirect ? fs.constants.O_DIRECT : 0);
  const fd = fs.openSync(job.path, flags);
  const offsets = allocateSlots(memory, job);
  const buffers = offsets.map((offset) => memory.bytes.subarray(offset, offset + job.sizeBytes));
  try {
    return await runJob(job, (slot, position, done) => {
      const ended = (error: NodeJS.ErrnoException | null, moved: number): void => {
        done(error === null ? moved : (error.errno ?? -1));
      };
      if (job.isWrite) fs.write(fd, buffers[slot], 0, job.sizeBytes, position, ended);
      else fs.read(fd, buffers[slot], 0, job.sizeBytes, position, ended);
    });
  } finally {
    // What stays in the page cache would be written while the others are measured.
    if (!isDirect) fs.fsyncSync(fd);
    fs.closeSync(fd);
    for (const offset of offsets) memory.free(offset);
  }
}
