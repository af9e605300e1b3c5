import {
  type Completion,
  ERRNO,
  IORING_OP,
  type Reactor,
  type ShardMemory,
  SunstarError,
} from '@sunstar/runtime';
import { alignDown } from './alignment.js';

/** An operation that the kernel interrupts this often in a row is given up. */
const MAX_RETRIES = 100;
/** Finished operations kept for the next ones. */
const MAX_POOLED = 256;
/** The queue gives back the places at its front after this many. */
const COMPACT_AT = 1024;
const IOVEC_BYTES = 16;

/**
 * One operation on a file. Reads and writes go on until they are complete, at the end of the file, or failed:
 * interrupted and short ones are continued where they stopped. Pooled.
 */
class FileOperation implements Completion {
  target: Completion | null = null;
  opcode = 0;
  address = 0;
  length = 0;
  offset = 0;
  opFlags = 0;
  /** Bytes a read or write is to move; 0 for other operations. */
  total = 0;
  /** Bytes it has moved. */
  done = 0;
  retries = 0;
  readonly #owner: FileOperations;

  constructor(owner: FileOperations) {
    this.#owner = owner;
  }

  complete(result: number): void {
    this.#owner.completed(this, result);
  }
}

/** The part of the reactor that files need. */
export type FileReactor = Pick<Reactor, 'submit' | 'defer'>;

/** What a set of operations works on. */
export interface OperationsTarget {
  readonly reactor: FileReactor;
  readonly memory: ShardMemory;
  readonly fd: number;
  /** Where a transfer that came up short may be continued; 1 for any place. */
  readonly alignmentBytes: number;
  /** Operations that the kernel may have at the same time. */
  readonly depth: number;
  /** Operations that may wait. */
  readonly maxQueued: number;
}

/**
 * All operations on one descriptor: at most `depth` are with the kernel, the rest waits in order. Knows when
 * nothing is in flight any more, which is when the descriptor may be closed.
 *
 * A submission never throws and never completes before it returned. One that cannot be made completes with
 * −EBADF after close, −EBUSY when too many wait.
 */
export class FileOperations implements Completion {
  readonly #target: OperationsTarget;
  readonly #pool: FileOperation[] = [];
  #waiting: FileOperation[] = [];
  #waitingHead = 0;
  #refused: Completion[] = [];
  #refusedResults: number[] = [];
  #inFlight = 0;
  #isClosed = false;
  #drained: (() => void) | null = null;

  constructor(target: OperationsTarget) {
    this.#target = target;
  }

  /** Operations with the kernel. */
  get inFlight(): number {
    return this.#inFlight;
  }

  /** Operations that wait for their turn. */
  get queued(): number {
    return this.#waiting.length - this.#waitingHead;
  }

  /** Whether one more would be refused. */
  get isFull(): boolean {
    return this.#inFlight >= this.#target.depth && this.queued >= this.#target.maxQueued;
  }

  get isClosed(): boolean {
    return this.#isClosed;
  }

  /** A read or write of `length` bytes of the arena; completes with the bytes moved or −errno. */
  transfer(
    target: Completion,
    opcode: number,
    position: number,
    memoryOffset: number,
    length: number,
    opFlags = 0,
  ): void {
    const address = this.#target.memory.arena.address + memoryOffset;
    this.#add(target, opcode, address, length, position, opFlags, length);
  }

  /** A vectored write of `total` bytes; the iovecs, in the arena, may be changed. */
  transferVector(
    target: Completion,
    position: number,
    iovecsOffset: number,
    iovecCount: number,
    total: number,
  ): void {
    const address = this.#target.memory.arena.address + iovecsOffset;
    this.#add(target, IORING_OP.WRITEV, address, iovecCount, position, 0, total);
  }

  /** Any other operation on the descriptor; the arguments are those of `Reactor.submit`. */
  submit(
    target: Completion,
    opcode: number,
    address: number,
    length: number,
    offset: number,
    opFlags = 0,
  ): void {
    this.#add(target, opcode, address, length, offset, opFlags, 0);
  }

  /** Takes no more operations; resolves when none is in flight or waits. */
  close(): Promise<void> {
    this.#isClosed = true;
    return new Promise((resolve) => {
      this.#drained = resolve;
      this.#checkDrained();
    });
  }

  #add(
    target: Completion,
    opcode: number,
    address: number,
    length: number,
    offset: number,
    opFlags: number,
    total: number,
  ): void {
    if (this.#isClosed || this.isFull) {
      this.#refuse(target, this.#isClosed ? -ERRNO.EBADF : -ERRNO.EBUSY);
      return;
    }
    const operation = this.#pool.pop() ?? new FileOperation(this);
    operation.target = target;
    operation.opcode = opcode;
    operation.address = address;
    operation.length = length;
    operation.offset = offset;
    operation.opFlags = opFlags;
    operation.total = total;
    operation.done = 0;
    operation.retries = 0;
    this.#waiting.push(operation);
    this.#startWaiting();
  }

  #startWaiting(): void {
    while (this.#waitingHead < this.#waiting.length && this.#inFlight < this.#target.depth) {
      const operation = this.#waiting[this.#waitingHead++];
      this.#inFlight++;
      this.#submit(operation);
    }
    if (this.#waitingHead === this.#waiting.length) {
      this.#waiting.length = 0;
      this.#waitingHead = 0;
    } else if (this.#waitingHead >= COMPACT_AT) {
      this.#waiting = this.#waiting.slice(this.#waitingHead);
      this.#waitingHead = 0;
    }
  }

  #submit(operation: FileOperation): void {
    const { opcode, address, length, offset, opFlags } = operation;
    try {
      this.#target.reactor.submit(operation, opcode, this.#target.fd, address, length, offset, opFlags);
    } catch (error) {
      if (!(error instanceof SunstarError)) throw error;
      // The ring has no room for one more: the limit of the shard, not of this file.
      const { target } = operation;
      this.#release(operation);
      if (target !== null) this.#refuse(target, -ERRNO.EBUSY);
    }
  }

  /** Completes an operation that was not made, from the loop like any other. */
  #refuse(target: Completion, result: number): void {
    if (this.#refused.length === 0) this.#target.reactor.defer(this);
    this.#refused.push(target);
    this.#refusedResults.push(result);
  }

  /** Deferred: answers the refused operations. */
  complete(): void {
    const refused = this.#refused;
    const results = this.#refusedResults;
    this.#refused = [];
    this.#refusedResults = [];
    for (let i = 0; i < refused.length; i++) refused[i].complete(results[i], 0);
    this.#startWaiting();
    this.#checkDrained();
  }

  /** Called by the operation with the kernel's result. */
  completed(operation: FileOperation, result: number): void {
    let final = result;
    if (result === -ERRNO.EINTR || result === -ERRNO.EAGAIN) {
      if (operation.retries++ < MAX_RETRIES) {
        this.#submit(operation);
        return;
      }
    } else if (result >= 0 && operation.total > 0) {
      if (operation.done + result < operation.total && this.#continue(operation, result)) return;
      final = operation.done + result;
      // A write that makes no progress and gives no reason.
      if (final < operation.total && operation.opcode !== IORING_OP.READ) final = -ERRNO.EIO;
    }
    const { target } = operation;
    this.#release(operation);
    target?.complete(final, 0);
    this.#startWaiting();
    this.#checkDrained();
  }

  /** Goes on with a transfer that came up short; false when it is over. */
  #continue(operation: FileOperation, moved: number): boolean {
    const { alignmentBytes } = this.#target;
    const isRead = operation.opcode === IORING_OP.READ;
    // A read ends at the end of the file: nothing more, or (O_DIRECT) a part of a sector.
    if (isRead && (moved === 0 || moved % alignmentBytes !== 0)) return false;
    // Part of a sector was not written as far as O_DIRECT goes: the whole sector is written again.
    const count = alignDown(moved, alignmentBytes);
    if (count > 0) operation.retries = 0;
    else if (operation.retries++ >= MAX_RETRIES) return false;
    operation.done += count;
    operation.offset += count;
    if (operation.opcode === IORING_OP.WRITEV) this.#advanceVector(operation, count);
    else {
      operation.address += count;
      operation.length -= count;
    }
    this.#submit(operation);
    return true;
  }

  #advanceVector(operation: FileOperation, count: number): void {
    const { memory } = this.#target;
    const { view, address: base } = memory.arena;
    let left = count;
    while (left > 0) {
      const at = operation.address - base;
      const length = view.getUint32(at + 8, true);
      if (left < length) {
        const address = view.getUint32(at, true) + view.getUint32(at + 4, true) * 2 ** 32 + left;
        view.setUint32(at, address >>> 0, true);
        view.setUint32(at + 4, Math.floor(address / 2 ** 32), true);
        view.setUint32(at + 8, length - left, true);
        return;
      }
      left -= length;
      operation.address += IOVEC_BYTES;
      operation.length--;
    }
  }

  #release(operation: FileOperation): void {
    this.#inFlight--;
    operation.target = null;
    if (this.#pool.length < MAX_POOLED) this.#pool.push(operation);
  }

  #checkDrained(): void {
    if (this.#drained === null || this.#inFlight > 0 || this.queued > 0 || this.#refused.length > 0) return;
    this.#drained();
    this.#drained = null;
  }

  invariants(): void {
    if (this.#inFlight < 0 || this.#inFlight > this.#target.depth) {
      throw new SunstarError(
        'SUNSTAR_INVARIANT',
        `FileOperations: ${this.#inFlight} operations are in flight.`,
      );
    }
    if (this.queued > 0 && this.#inFlight < this.#target.depth) {
      throw new SunstarError('SUNSTAR_INVARIANT', 'FileOperations: one waits although there is room.');
    }
  }
}
