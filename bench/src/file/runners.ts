import fs from 'node:fs';
import { DmaFile } from '@sunstar/dma-file';
import type { Completion, ShardMemory } from '@sunstar/runtime';
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

/** Does a job with {@link DmaFile}, by callbacks as fio does: no promise for each operation. */
export async function runOurs(memory: ShardMemory, job: FileJob): Promise<FileResult> {
  const file = await DmaFile.open(job.path, {
    flags: job.isWrite ? 'a' : 'r',
    direct: 'require',
    depth: 64,
    registerMemory: job.isRegistered === true,
    registerDescriptor: job.isRegistered === true,
  });
  const offsets = allocateSlots(memory, job);
  const completions: Completion[] = [];
  try {
    return await runJob(job, (slot, position, done) => {
      completions[slot] ??= { complete: done };
      if (job.isWrite) file.submitWrite(completions[slot], position, offsets[slot], job.sizeBytes);
      else file.submitRead(completions[slot], position, offsets[slot], job.sizeBytes);
    });
  } finally {
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
