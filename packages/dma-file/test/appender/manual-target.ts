import { type Completion, ERRNO, heapArena, OutOfMemoryError, ShardMemory } from '@sunstar/runtime';
import type { AppendMemory, AppendTarget, OneShotTimer } from '../../src/appender/append-target.js';

/** An operation that waits for the test to complete it. */
export interface Parked {
  readonly kind: 'read' | 'write' | 'sync' | 'allocate' | 'truncate' | 'defer' | 'timer';
  readonly completion: Completion;
  readonly position: number;
  readonly memoryOffset: number;
  readonly length: number;
  readonly isDurable: boolean;
  /** What the memory held when the write was dispatched. */
  readonly bytes: Buffer;
  /** For a sync: how many entries of the journal it covers. */
  readonly covers: number;
}

/** A completed write that may or may not have reached the medium. */
interface JournalEntry {
  readonly position: number;
  readonly bytes: Buffer;
  isDurable: boolean;
}

const SECTOR_BYTES = 16;
const ZEROS = Buffer.alloc(1 << 20);

/** Shard memory that can be told to run out. */
class LimitedMemory implements AppendMemory {
  readonly real: ShardMemory = new ShardMemory(heapArena(1 << 20));
  readonly bytes: Buffer = this.real.bytes;
  /** Allocations that still succeed. */
  allowed = Number.POSITIVE_INFINITY;

  allocateAligned(sizeBytes: number, alignmentBytes: number): number {
    if (this.allowed <= 0) throw new OutOfMemoryError(sizeBytes, 0);
    this.allowed--;
    return this.real.allocateAligned(sizeBytes, alignmentBytes);
  }

  free(offset: number): void {
    this.real.free(offset);
  }

  addReclaimer(...args: Parameters<AppendMemory['addReclaimer']>): () => void {
    return this.real.addReclaimer(...args);
  }
}

/**
 * A file whose operations are parked until the test completes them, in any order and with any result. It checks
 * what an appender must never do (unaligned or overlapping operations, memory that changes under DMA), and knows
 * what a power cut could leave.
 */
export class ManualTarget implements AppendTarget {
  readonly memory: LimitedMemory;
  readonly pageBytes = 64;
  readonly path = 'manual';
  readonly shardCount = 1;
  readonly parked: Parked[] = [];
  readonly #journal: JournalEntry[] = [];
  content: Buffer = Buffer.alloc(1 << 12);
  fileSize = 0;
  isClosed = false;
  nowMs = 0;
  freeBytes = 1 << 20;
  syncsStarted = 0;
  openTimers = 0;
  /** The file was cut and that is not durable yet: nothing may be written, or old bytes could follow new ones. */
  isCutUnsynced = false;
  writesStarted = 0;

  constructor(memory: LimitedMemory = new LimitedMemory()) {
    this.memory = memory;
  }

  submitRead(completion: Completion, position: number, memoryOffset: number, length: number): void {
    this.#park('read', completion, position, memoryOffset, length);
  }

  submitWrite(completion: Completion, position: number, memoryOffset: number, length: number): void {
    this.writesStarted++;
    this.#park('write', completion, position, memoryOffset, length);
  }

  submitDurableWrite(completion: Completion, position: number, memoryOffset: number, length: number): void {
    this.writesStarted++;
    this.syncsStarted++;
    this.#park('write', completion, position, memoryOffset, length, true);
  }

  submitSync(completion: Completion): void {
    this.syncsStarted++;
    this.#park('sync', completion, 0, 0, 0);
  }

  submitAllocate(completion: Completion, position: number, length: number): void {
    if (this.parked.some((other) => other.kind === 'allocate')) throw new Error('two allocations at once');
    this.#park('allocate', completion, position, 0, length);
  }

  submitTruncate(completion: Completion, sizeBytes: number): void {
    if (this.parked.some((other) => other.kind !== 'defer' && other.kind !== 'timer'))
      throw new Error('truncated with operations in flight');
    this.#park('truncate', completion, sizeBytes, 0, 0);
  }

  defer(task: Completion): void {
    this.#park('defer', task, 0, 0, 0);
  }

  makeTimer(completion: Completion): OneShotTimer {
    // What this timer has parked, wherever that is in the list by now.
    const own: Completion = { complete: () => completion.complete(0, 0) };
    const find = (): number => this.parked.findIndex((operation) => operation.completion === own);
    const cancel = (): void => {
      if (find() >= 0) this.parked.splice(find(), 1);
    };
    this.openTimers++;
    return {
      arm: () => {
        if (find() < 0) this.#park('timer', own, 0, 0, 0);
      },
      cancel,
      close: () => {
        cancel();
        this.openTimers--;
        return Promise.resolve();
      },
    };
  }

  size(): Promise<number> {
    return Promise.resolve(this.fileSize);
  }

  freeDiskBytes(): number {
    return this.freeBytes;
  }

  close(): Promise<void> {
    if (this.parked.length > 0) throw new Error('closed with operations in flight');
    if (this.openTimers > 0) throw new Error('closed with timers');
    this.isClosed = true;
    return Promise.resolve();
  }

  #park(
    kind: Parked['kind'],
    completion: Completion,
    position: number,
    memoryOffset: number,
    length: number,
    isDurable = false,
  ): void {
    if (this.isClosed) throw new Error(`${kind} after close`);
    let bytes = Buffer.alloc(0);
    if (kind === 'write' || kind === 'read') {
      for (const value of [position, memoryOffset, length]) {
        if (value % this.pageBytes !== 0) throw new Error(`${kind} at ${position} is not aligned`);
      }
      if (kind === 'write' && this.isCutUnsynced) throw new Error('write before the cut is durable');
      if (length === 0) throw new Error(`empty ${kind}`);
      for (const other of this.parked) {
        if (other.kind !== 'write' || kind !== 'write') continue;
        if (other.position < position + length && position < other.position + other.length) {
          throw new Error(`writes overlap: ${position}+${length} and ${other.position}+${other.length}`);
        }
      }
      bytes = Buffer.from(this.memory.bytes.subarray(memoryOffset, memoryOffset + length));
    }
    const covers = this.#journal.length;
    this.parked.push({ kind, completion, position, memoryOffset, length, isDurable, bytes, covers });
  }

  /** Completes the parked operation number `index`, with success or a negative error number. */
  complete(index: number, error = 0): Parked {
    const [operation] = this.parked.splice(index, 1);
    const { kind, completion, position, memoryOffset, length } = operation;
    let result = error;
    if (kind === 'write') {
      const now = this.memory.bytes.subarray(memoryOffset, memoryOffset + length);
      if (!operation.bytes.equals(now)) throw new Error('memory changed while the device was reading it');
    }
    if (error === 0 && kind === 'write') {
      this.#journal.push({ position, bytes: operation.bytes, isDurable: operation.isDurable });
      operation.bytes.copy(this.#room(position + length), position);
      this.fileSize = Math.max(this.fileSize, position + length);
      result = length;
    } else if (error === 0 && kind === 'read') {
      result = Math.max(0, Math.min(length, this.fileSize - position));
      this.memory.bytes.fill(0xee, memoryOffset, memoryOffset + length);
      this.content.copy(this.memory.bytes, memoryOffset, position, position + result);
    } else if (error === 0 && kind === 'sync') {
      this.isCutUnsynced = false;
      for (let i = 0; i < operation.covers; i++) this.#journal[i].isDurable = true;
    } else if (error === 0 && kind === 'allocate') {
      this.fileSize = Math.max(this.fileSize, position + length);
      this.#room(this.fileSize);
    } else if (error === 0 && kind === 'truncate') {
      this.content.fill(0, position);
      this.fileSize = position;
      this.isCutUnsynced = true;
      // Nothing is in flight at a truncate and a sync follows it: the journal starts over with what is there.
      this.#journal.length = 0;
      this.#journal.push({
        position: 0,
        bytes: Buffer.from(this.content.subarray(0, position)),
        isDurable: true,
      });
    }
    completion.complete(result, 0);
    return operation;
  }

  /**
   * What a power cut could leave now: everything durable, and of the rest any sectors. Writes in flight may have
   * reached the medium in part as well.
   */
  afterPowerCut(random: () => number): Buffer {
    const medium = Buffer.alloc(this.content.length);
    const apply = (position: number, bytes: Buffer, isCertain: boolean): void => {
      for (let at = 0; at < bytes.length; at += SECTOR_BYTES) {
        if (!isCertain && random() < 0.5) continue;
        bytes.copy(medium, position + at, at, Math.min(at + SECTOR_BYTES, bytes.length));
      }
    };
    for (const entry of this.#journal) apply(entry.position, entry.bytes, entry.isDurable);
    for (const operation of this.parked) {
      if (operation.kind === 'write') apply(operation.position, operation.bytes, false);
    }
    return medium;
  }

  /** Whether there are only zeros from a position on. */
  isZeroFrom(position: number): boolean {
    const rest = this.content.subarray(position);
    return rest.equals(ZEROS.subarray(0, rest.length));
  }

  #room(end: number): Buffer {
    if (end > this.content.length) {
      const larger = Buffer.alloc(end * 2);
      this.content.copy(larger);
      this.content = larger;
    }
    return this.content;
  }
}

export const ENOSPC: number = -ERRNO.ENOSPC;
export const EIO: number = -ERRNO.EIO;

/** Lets every promise that is settled run its reactions. */
export async function settle(): Promise<void> {
  for (let i = 0; i < 100; i++) await Promise.resolve();
}

/** A small deterministic generator of numbers from 0 to 1. */
export function randomOf(seed: number): () => number {
  let state = seed | 0 || 1;
  return () => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) / 2 ** 32;
  };
}

/** The byte of the log at a position: what appended bytes are compared with. */
export function byteAt(position: number, generation = 0): number {
  return ((Math.imul(position + 1, 2654435761) >>> 11) ^ (generation * 37)) & 0xff;
}
