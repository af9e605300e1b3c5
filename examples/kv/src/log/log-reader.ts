import { crc32c } from '@sunstar/iobuf';
import type { ShardMemory } from '@sunstar/runtime';
import {
  BODY_BYTES_MAX,
  decodeBody,
  type FileHeader,
  FRAME_BYTES,
  HEADER_BYTES,
  type LogSink,
  MALFORMED,
  readHeader,
} from './record.js';

/** Positions, lengths and memory of every read are multiples of this. */
const PAGE_BYTES = 4096;
const BUFFER_BYTES = 1 << 20;
const READ_BYTES = BUFFER_BYTES - PAGE_BYTES;

/** A file of the log, open for reading. A DmaFile is one, but for the names. */
export interface LogSource {
  readonly sizeBytes: number;
  /** Reads into the arena; fewer bytes than asked only at the end of the file. All arguments are page-aligned. */
  read(position: number, memoryOffset: number, length: number): Promise<number>;
}

/** What was found in one file. */
export interface ReplayResult {
  /** Undefined when the file does not begin with a valid header: it holds no record then. */
  readonly header: (FileHeader & { readonly seed: number }) | undefined;
  readonly records: number;
  /** The valid prefix ends here. */
  readonly validBytes: number;
  /** Bytes behind the valid prefix, up to the last one that is not zero. */
  readonly droppedBytes: number;
  /** Whether the prefix ends with a SEAL that has counted right: the file was complete. */
  readonly isSealed: boolean;
}

/** Told how far a replay is: bytes read since the last call. */
export type ReplayProgress = (bytes: number) => void;

/**
 * Reads one file of the log from its beginning and hands the operations of its valid records to a sink, up to the
 * first record that is torn, damaged or behind a SEAL.
 *
 * The records are looked at where the device put them; only one that lies across the end of what was read is moved.
 */
export class LogReader {
  readonly #memory: ShardMemory;
  readonly #source: LogSource;
  readonly #progress: ReplayProgress;
  /** The buffer, and the part of it that holds unread bytes of the file. */
  #buffer = -1;
  #capacity = 0;
  #start = 0;
  #end = 0;
  /** Position in the file that belongs to #end. */
  #position = 0;
  #isAtEnd = false;

  constructor(memory: ShardMemory, source: LogSource, progress: ReplayProgress = () => {}) {
    this.#memory = memory;
    this.#source = source;
    this.#progress = progress;
  }

  /** Rejects with OutOfMemoryError when a record, or what the sink does with it, finds no memory. */
  async replay(sink: LogSink): Promise<ReplayResult> {
    this.#capacity = BUFFER_BYTES;
    this.#buffer = this.#memory.allocateAligned(this.#capacity, PAGE_BYTES);
    this.#start = this.#buffer;
    this.#end = this.#buffer;
    try {
      return await this.#replay(sink);
    } finally {
      this.#memory.free(this.#buffer);
      this.#buffer = -1;
    }
  }

  async #replay(sink: LogSink): Promise<ReplayResult> {
    const { bytes } = this.#memory;
    const { view } = this.#memory.arena;
    await this.#have(HEADER_BYTES);
    const header = this.#end - this.#start >= HEADER_BYTES ? readHeader(bytes, this.#start) : undefined;
    if (header === undefined) return this.#finish(undefined, 0, 0, false);
    this.#start += HEADER_BYTES;

    let records = 0;
    let validBytes = HEADER_BYTES;
    let isSealed = false;
    while (!isSealed) {
      if (this.#end - this.#start < FRAME_BYTES && !(await this.#have(FRAME_BYTES))) break;
      const bodyBytes = view.getUint32(this.#start + 4, true);
      // No memory is spent on a length that the file cannot hold.
      if (bodyBytes === 0 || bodyBytes > BODY_BYTES_MAX) break;
      if (validBytes + FRAME_BYTES + bodyBytes > this.#source.sizeBytes) break;
      const recordBytes = FRAME_BYTES + bodyBytes;
      if (this.#end - this.#start < recordBytes && !(await this.#have(recordBytes))) break;
      const at = this.#start;
      const end = at + recordBytes;
      if (view.getUint32(at, true) !== crc32c(bytes, at + 4, end, header.seed)) break;
      const seal = decodeBody(view, at + FRAME_BYTES, end, sink);
      if (seal === MALFORMED || (seal > 0 && seal !== records + 1)) break;
      isSealed = seal > 0;
      if (!isSealed) records++;
      validBytes += recordBytes;
      this.#start = end;
    }
    return this.#finish(header, records, validBytes, isSealed);
  }

  /** Measures what lies behind the valid prefix. */
  async #finish(
    header: ReplayResult['header'],
    records: number,
    validBytes: number,
    isSealed: boolean,
  ): Promise<ReplayResult> {
    let lastUsed = 0;
    do {
      const at = this.#lastByteThatIsNotZero();
      if (at >= 0) lastUsed = this.#position - this.#end + at + 1;
      this.#start = this.#end;
    } while (await this.#have(1));
    const droppedBytes = Math.max(0, lastUsed - validBytes);
    return { header, records, validBytes, droppedBytes, isSealed };
  }

  /** Its place in the buffer, among the unread bytes; −1 when there is none. */
  #lastByteThatIsNotZero(): number {
    const { bytes } = this.#memory;
    const start = this.#start;
    let at = this.#end - 1;
    // Bytes that all equal their neighbours: the common case, space that was allocated ahead, at the speed of memcmp.
    if (at > start && bytes[start] === 0 && bytes.compare(bytes, start, at, start + 1, at + 1) === 0)
      return -1;
    while (at >= start && bytes[at] === 0) at--;
    return at >= start ? at : -1;
  }

  /** Reads until so many bytes lie behind #start; false when the file ends before. */
  async #have(bytesNeeded: number): Promise<boolean> {
    while (this.#end - this.#start < bytesNeeded && !this.#isAtEnd) {
      this.#makeRoom(bytesNeeded);
      const room = this.#buffer + this.#capacity - this.#end;
      const length = Math.min(room - (room % PAGE_BYTES), READ_BYTES);
      const count = await this.#source.read(this.#position, this.#end, length);
      this.#isAtEnd = count < length;
      this.#position += count;
      this.#end += count;
      this.#progress(count);
    }
    return this.#end - this.#start >= bytesNeeded;
  }

  /**
   * Moves what is unread to the front of the buffer, so that its end stays aligned to a page, into a larger buffer
   * if a record needs one.
   */
  #makeRoom(bytesNeeded: number): void {
    const unread = this.#end - this.#start;
    const lead = (PAGE_BYTES - (unread % PAGE_BYTES)) % PAGE_BYTES;
    const needed = Math.max(bytesNeeded + 2 * PAGE_BYTES, BUFFER_BYTES);
    const old = this.#buffer;
    if (needed > this.#capacity) {
      this.#buffer = this.#memory.allocateAligned(needed, PAGE_BYTES);
      this.#capacity = needed;
    }
    if (this.#buffer + lead === this.#start) return;
    this.#memory.bytes.copyWithin(this.#buffer + lead, this.#start, this.#end);
    if (old !== this.#buffer) this.#memory.free(old);
    this.#start = this.#buffer + lead;
    this.#end = this.#start + unread;
  }
}
