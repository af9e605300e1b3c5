import { randomBytes } from 'node:crypto';
import { DmaFile, SegmentAppender } from '@sunstar/dma-file';
import type { ShardMemory, SunstarError } from '@sunstar/runtime';
import { FRAME_BYTES, HEADER_BYTES, writeFrame, writeHeader, writeSeal } from './record.js';

/** Enough for a header and for a record with a SEAL. */
const SCRATCH_BYTES = 64;
const CHUNK_BYTES = 128 * 1024;
const BUFFERED_BYTES_MAX = 4 * 1024 * 1024;

/** Which file of which log. */
export interface FileIdentity {
  readonly kind: number;
  readonly shard: number;
  readonly shardCount: number;
  readonly epoch: number;
  readonly number: number;
}

/** Who follows a file of the log. Called inside the tick. */
export interface LogFileListener {
  /** The file is durable up to this size. */
  flushed(file: LogFile, sizeBytes: number): void;
  /** A write or a sync failed. */
  failed(file: LogFile, error: SunstarError): void;
}

/** A file of the log that is being written: an appender behind a header. */
export class LogFile {
  readonly path: string;
  readonly number: number;
  /** Where the checksums of its records begin. */
  readonly seed: number;
  /** Set it once the file takes records. */
  listener: LogFileListener | null = null;
  readonly appender: SegmentAppender;
  readonly #memory: ShardMemory;

  private constructor(
    memory: ShardMemory,
    path: string,
    number: number,
    seed: number,
    appender: SegmentAppender,
  ) {
    this.#memory = memory;
    this.path = path;
    this.number = number;
    this.seed = seed;
    this.appender = appender;
  }

  /** Creates a file, or begins it anew, with its header durable. */
  static async create(memory: ShardMemory, path: string, identity: FileIdentity): Promise<LogFile> {
    let created: LogFile | null = null;
    const appender = await SegmentAppender.open(await DmaFile.open(path, { flags: 'w+' }), {
      position: 0,
      chunkBytes: CHUNK_BYTES,
      maxBufferedBytes: BUFFERED_BYTES_MAX,
      onFlushed: (offset) => created?.listener?.flushed(created, offset),
      onError: (error) => created?.listener?.failed(created, error),
    });
    const scratch = memory.allocate(SCRATCH_BYTES);
    try {
      const nonce = randomBytes(4).readUInt32LE(0);
      const seed = writeHeader(memory.bytes, scratch, { ...identity, createdAtMs: Date.now(), nonce });
      appender.appendRange(scratch, HEADER_BYTES);
      await appender.flush();
      created = new LogFile(memory, path, identity.number, seed, appender);
      return created;
    } catch (error) {
      await appender.close().catch(() => {});
      throw error;
    } finally {
      memory.free(scratch);
    }
  }

  /** Bytes that it has, its header included. */
  get sizeBytes(): number {
    return this.appender.appended;
  }

  /** Appends the record that says that the file is complete. */
  appendSeal(records: number): void {
    appendSeal(this.#memory, this.appender, this.seed, records);
  }
}

/** Appends the SEAL of a file that has so many records. */
export function appendSeal(
  memory: ShardMemory,
  appender: SegmentAppender,
  seed: number,
  records: number,
): void {
  const scratch = memory.allocate(SCRATCH_BYTES);
  try {
    const end = writeSeal(memory.arena.view, scratch + FRAME_BYTES, records);
    writeFrame(memory.bytes, memory.arena.view, scratch, end - scratch - FRAME_BYTES, seed);
    appender.appendRange(scratch, end - scratch);
  } finally {
    memory.free(scratch);
  }
}
