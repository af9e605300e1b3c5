import { mkdtemp, rm, statfs } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { DmaFile } from '@sunstar/dma-file';
import type { Completion, Shard } from '@sunstar/runtime';

const MIB = 1_048_576;
/** What compactions write at a time. */
export const WRITE_BYTES = 131_072;
export const READ_BYTES = 4096;

/** Files for a benchmark, in a directory of its own under SUNSTAR_BENCH_DIRECTORY or the temporary directory. */
export class DiskFiles {
  readonly #directory: string;
  readonly #files: DmaFile[] = [];

  private constructor(directory: string) {
    this.#directory = directory;
  }

  static async make(): Promise<DiskFiles> {
    const parent = process.env.SUNSTAR_BENCH_DIRECTORY ?? tmpdir();
    const { bavail, bsize } = await statfs(parent);
    if (bavail * bsize < 4096 * MIB) throw new Error(`${parent} has less than 4 GiB free`);
    return new DiskFiles(await mkdtemp(path.join(parent, 'sunstar-io-')));
  }

  /** A file whose blocks were all written before, so that nothing but its data is written later. */
  async prewritten(name: string, sizeBytes: number, depth = 64): Promise<DmaFile> {
    const file = await DmaFile.open(path.join(this.#directory, name), {
      flags: 'w+',
      direct: 'require',
      depth,
    });
    this.#files.push(file);
    const block = Buffer.alloc(MIB, 0x5a);
    for (let at = 0; at < sizeBytes; at += MIB) await file.write(at, block);
    await file.fsync();
    return file;
  }

  async remove(): Promise<void> {
    for (const file of this.#files) await file.close();
    await rm(this.#directory, { recursive: true });
  }
}

/** Keeps so many operations of one size on a file in flight, from `start` until `stop`. */
export class Pressure {
  readonly #file: DmaFile;
  readonly #isWrite: boolean;
  readonly #bytes: number;
  readonly #slots: number;
  readonly #memory: number;
  readonly #shard: Shard;
  readonly #outstanding: number;
  #next = 0;
  #inFlight = 0;
  #isOn = false;
  #stopped: (() => void) | null = null;
  /** Operations completed since `start`. */
  operations = 0;

  constructor(
    shard: Shard,
    file: DmaFile,
    sizeBytes: number,
    isWrite: boolean,
    bytes: number,
    outstanding: number,
  ) {
    this.#shard = shard;
    this.#file = file;
    this.#isWrite = isWrite;
    this.#bytes = bytes;
    this.#outstanding = outstanding;
    this.#slots = Math.floor(sizeBytes / bytes);
    this.#memory = shard.memory.allocateAligned(bytes, 4096);
  }

  start(): void {
    this.#isOn = true;
    this.operations = 0;
    for (let i = 0; i < this.#outstanding; i++) new Writer(this);
  }

  /** Resolves when the last one is over. */
  stop(): Promise<void> {
    this.#isOn = false;
    return new Promise((resolve) => {
      if (this.#inFlight === 0) resolve();
      else this.#stopped = resolve;
    });
  }

  free(): void {
    this.#shard.memory.free(this.#memory);
  }

  issue(completion: Completion): void {
    this.#inFlight++;
    const position = (this.#next++ % this.#slots) * this.#bytes;
    if (this.#isWrite) this.#file.submitWrite(completion, position, this.#memory, this.#bytes);
    else this.#file.submitRead(completion, position, this.#memory, this.#bytes);
  }

  completed(completion: Completion, result: number): void {
    this.#inFlight--;
    if (result !== this.#bytes) throw new Error(`an operation ended with ${result}`);
    this.operations++;
    if (this.#isOn) this.issue(completion);
    else if (this.#inFlight === 0) this.#stopped?.();
  }
}

class Writer implements Completion {
  readonly #pressure: Pressure;

  constructor(pressure: Pressure) {
    this.#pressure = pressure;
    pressure.issue(this);
  }

  complete(result: number): void {
    this.#pressure.completed(this, result);
  }
}

/** Latencies of 4 KiB reads at random places, one at a time, for some time; sorted, in microseconds. */
export async function randomReads(
  file: DmaFile,
  sizeBytes: number,
  memoryOffset: number,
  durationMs: number,
): Promise<Float64Array> {
  const slots = Math.floor(sizeBytes / READ_BYTES);
  const latencies: number[] = [];
  const end = performance.now() + durationMs;
  for (let now = performance.now(); now < end; ) {
    const position = Math.floor(Math.random() * slots) * READ_BYTES;
    await file.readInto(position, memoryOffset, READ_BYTES);
    const after = performance.now();
    latencies.push((after - now) * 1000);
    now = after;
  }
  return Float64Array.from(latencies).sort();
}
