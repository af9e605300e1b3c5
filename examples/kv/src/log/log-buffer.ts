import { IOBuf } from '@sunstar/iobuf';
import { type ShardMemory, SunstarError } from '@sunstar/runtime';
import { copyBytes } from '../bytes.js';
import type { Entries } from '../store/entries.js';
import type { Journal } from '../store/journal.js';
import {
  FRAME_BYTES,
  OPERATION_BYTES_MAX,
  writeDelete,
  writeExpire,
  writeFlush,
  writeFrame,
  writeSet,
} from './record.js';
import { Spill } from './spill.js';

/** Where records are written first. What does not fit spills. */
const STAGING_BYTES = 256 * 1024;
/** Spilled bytes that may wait. A command is refused rather than that more wait. */
const QUEUE_BYTES_MAX = 256 * 1024 * 1024;

/** Takes the bytes of the log in order; a SegmentAppender is one. */
export interface LogTarget {
  readonly hasRoom: boolean;
  /** Copies a range of the arena; all or nothing. */
  appendRange(offset: number, length: number): number;
}

/**
 * Turns what a command reports into one record, so that a crash leaves all of its changes or none, and holds the
 * records until the file takes them.
 *
 * A record is written in place, behind the ones before it in the staging block. One that is too large, or comes when
 * the block is full and the file takes nothing, is gathered in blocks of its own, and everything staged before it
 * moves there too: the queue is always older than the staging block.
 */
export class LogBuffer implements Journal {
  /** Seed of the checksums: that of the file which the next record goes to. Change it only when nothing is held. */
  seed = 0;
  readonly #memory: ShardMemory;
  readonly #bytes: Buffer;
  readonly #view: DataView;
  readonly #entries: Entries;
  readonly #base: number;
  readonly #limit: number;
  readonly #queue: IOBuf;
  /** End of the finished records in the staging block. */
  #end: number;
  /** Where the next operation is written; #end when no record is open. */
  #position: number;
  #spill: Spill | null = null;
  /** An operation without key and value, on its way to the spill. */
  readonly #scratch: number;

  constructor(memory: ShardMemory, entries: Entries) {
    this.#memory = memory;
    this.#bytes = memory.bytes;
    this.#view = memory.arena.view;
    this.#entries = entries;
    this.#base = memory.allocate(STAGING_BYTES);
    this.#scratch = this.#base + STAGING_BYTES - 64;
    this.#limit = this.#scratch;
    this.#end = this.#base;
    this.#position = this.#base;
    this.#queue = new IOBuf(memory);
  }

  /** Bytes of finished records that the file has not taken. */
  get heldBytes(): number {
    return this.#queue.sizeBytes + this.#end - this.#base;
  }

  /** Whether so much is held that it should be handed on before the end of the tick. */
  get isFilling(): boolean {
    return this.#end - this.#base > STAGING_BYTES / 4 || this.#queue.sizeBytes > 0;
  }

  admit(recordCount: number, payloadBytes: number): boolean {
    const needed = recordCount * OPERATION_BYTES_MAX + payloadBytes;
    if (this.#spill !== null) return this.#spill.reserve(needed);
    const begun = Math.max(this.#position, this.#end + FRAME_BYTES);
    return begun + needed <= this.#limit || this.#beginSpill(needed);
  }

  set(entry: number): void {
    const entries = this.#entries;
    const keyLength = entries.keyLength(entry);
    const valueLength = entries.valueLength(entry);
    const start = this.#begin();
    const at = writeSet(this.#view, start, keyLength, valueLength, entries.expireAtMs(entry));
    this.#endOperation(start, at);
    this.#copy(entries.keyOffset(entry), keyLength);
    if (!entries.isChunked(entry)) {
      this.#copy(entries.payloadOffset(entry), valueLength);
      return;
    }
    for (let piece = 0; piece < entries.pieceCount(entry); piece++) {
      this.#copy(entries.pieceOffset(entry, piece), entries.pieceLength(entry, piece));
    }
  }

  expire(entry: number): void {
    const entries = this.#entries;
    const keyLength = entries.keyLength(entry);
    const start = this.#begin();
    this.#endOperation(start, writeExpire(this.#view, start, keyLength, entries.expireAtMs(entry)));
    this.#copy(entries.keyOffset(entry), keyLength);
  }

  delete(keyOffset: number, keyLength: number): void {
    const start = this.#begin();
    this.#endOperation(start, writeDelete(this.#view, start, keyLength));
    this.#copy(keyOffset, keyLength);
  }

  flush(): void {
    const start = this.#begin();
    this.#endOperation(start, writeFlush(this.#view, start));
  }

  /** Ends the record of one command. Returns its size; 0 when the command has reported nothing. */
  endRecord(): number {
    if (this.#spill !== null) return this.#endSpill(this.#spill);
    const recordBytes = this.#position - this.#end;
    if (recordBytes === 0) return 0;
    writeFrame(this.#bytes, this.#view, this.#end, recordBytes - FRAME_BYTES, this.seed);
    this.#end = this.#position;
    return recordBytes;
  }

  /**
   * Hands everything that is held to the file, as far as it takes it. Throws what the file throws; nothing is lost.
   *
   * @returns Whether nothing is held any more.
   */
  drainTo(target: LogTarget): boolean {
    const queue = this.#queue;
    while (queue.sizeBytes > 0) {
      if (!target.hasRoom) return false;
      const length = queue.fragmentLength(0);
      target.appendRange(queue.fragmentOffset(0), length);
      queue.trimFront(length);
    }
    if (this.#end === this.#base) return true;
    if (!target.hasRoom) return false;
    target.appendRange(this.#base, this.#end - this.#base);
    this.#end = this.#base;
    this.#position = this.#base;
    return true;
  }

  /** Frees the memory; what is held is lost. */
  dispose(): void {
    this.#queue[Symbol.dispose]();
    this.#memory.free(this.#base);
  }

  /** Throws when the state contradicts itself. For tests. */
  invariants(): void {
    const isSound =
      this.#base <= this.#end &&
      this.#end <= this.#position &&
      this.#position <= this.#limit &&
      (this.#spill === null || this.#position === this.#base);
    if (!isSound) throw new SunstarError('SUNSTAR_INVARIANT', 'LogBuffer: the positions are out of order.');
    this.#queue.invariants();
  }

  /** Where the fixed part of the next operation is written. */
  #begin(): number {
    if (this.#spill !== null) return this.#scratch;
    if (this.#position === this.#end) this.#position += FRAME_BYTES;
    return this.#position;
  }

  #endOperation(start: number, end: number): void {
    if (this.#spill !== null) this.#spill.write(start, end - start);
    else this.#position = end;
  }

  #copy(offset: number, length: number): void {
    if (this.#spill !== null) {
      this.#spill.write(offset, length);
      return;
    }
    copyBytes(this.#bytes, this.#view, offset, this.#position, length);
    this.#position += length;
  }

  /** Moves what is staged, and the record that is open, to a spill with room for so much more. */
  #beginSpill(neededBytes: number): boolean {
    if (this.#queue.sizeBytes + neededBytes > QUEUE_BYTES_MAX) return false;
    const spill = new Spill(this.#memory);
    const isOpen = this.#position > this.#end;
    if (!spill.reserve(this.#position - this.#base + FRAME_BYTES + neededBytes)) return false;
    spill.write(this.#base, this.#end - this.#base);
    spill.beginRecord();
    if (isOpen) spill.write(this.#end, this.#position - this.#end);
    // A frame to be filled in at the end; what it holds now does not matter.
    else spill.write(this.#scratch, FRAME_BYTES);
    this.#end = this.#base;
    this.#position = this.#base;
    this.#spill = spill;
    return true;
  }

  #endSpill(spill: Spill): number {
    const recordBytes = spill.endRecord(this.seed);
    spill.moveTo(this.#queue);
    this.#spill = null;
    return recordBytes;
  }
}
