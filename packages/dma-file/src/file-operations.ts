import { IOVEC_SIZE_BYTES } from '@sunstar/iobuf';
import {
  type Completion,
  ConditionVariable,
  currentGroupId,
  ERRNO,
  IORING_OP,
  SunstarError,
  swapGroup,
} from '@sunstar/runtime';
import { alignDown } from './alignment.js';
import { FileOperation, Lane, type OperationOwner } from './file-operation.js';
import { GrowingWrites } from './growing-writes.js';
import { advanceIovecs } from './iovecs.js';
import type { OperationsTarget } from './operations-target.js';
import type { RegisteredFile } from './registered-file.js';

/** An operation that the kernel interrupts this often in a row is given up. */
const MAX_RETRIES = 100;
/** Finished operations kept for the next ones. */
const MAX_POOLED = 256;
/**
 * Up to so many in flight reach the kernel at the end of the tick, in one system call with the wait for them; of more,
 * so many at once, for the device to work while the next are prepared.
 */
const FEW = 4;

/** A read or write that was submitted, for {@link FileOperations.cancel}; void once it has completed. */
export type Ticket = FileOperation;

function isRead(opcode: number): boolean {
  return opcode === IORING_OP.READ || opcode === IORING_OP.READV;
}

/**
 * All operations on one descriptor: of each scheduling group at most `depth` are with the device or its queue, the
 * rest waits in order. Knows when nothing is in flight any more, which is when the descriptor may be closed.
 *
 * A submission never throws and never completes before it returned. One that cannot be made completes with
 * −EBADF after close, −EBUSY when too many wait.
 */
export class FileOperations implements OperationOwner {
  readonly #target: OperationsTarget;
  readonly #registered: Pick<RegisteredFile, 'submit'> | null;
  readonly #growing: GrowingWrites;
  readonly #pool: FileOperation[] = [];
  /** One for each scheduling group that ever used the file; most have one. */
  readonly #lanes: Lane[] = [];
  readonly #room: ConditionVariable = new ConditionVariable();
  #lane: Lane = new Lane(0);
  #queued = 0;
  #refusals = 0;
  #inFlight = 0;
  #isClosed = false;
  /** Whether what is started is given to the kernel together. */
  #isHeld = false;
  #drained: (() => void) | null = null;

  constructor(target: OperationsTarget) {
    this.#target = target;
    this.#registered = target.registered ?? null;
    this.#growing = new GrowingWrites(
      target.reactor,
      target.endBytes ?? Number.POSITIVE_INFINITY,
      (operation) => this.#submit(operation),
    );
    this.#lanes.push(this.#lane);
  }

  /** Operations with the device or its queue. */
  get inFlight(): number {
    return this.#inFlight;
  }

  /** Operations that wait before that. */
  get queued(): number {
    return this.#queued;
  }

  /** Whether one more of the current scheduling group would be refused. */
  get isFull(): boolean {
    const { depth, maxQueued, queue } = this.#target;
    const lane = this.#currentLane();
    if (lane.inFlight < depth) return queue?.isFull(lane.groupId) === true;
    return this.#queued >= maxQueued;
  }

  /** How many times `depth` the next operation of the current group has before it. */
  get roundsAhead(): number {
    return Math.floor(this.#currentLane().waiting.size / this.#target.depth);
  }

  get isClosed(): boolean {
    return this.#isClosed;
  }

  /**
   * A read or write of `length` bytes of the arena; completes with the bytes moved or −errno.
   *
   * @returns For {@link cancel} until it completes; null when it was refused.
   */
  transfer(
    target: Completion,
    opcode: number,
    position: number,
    memoryOffset: number,
    length: number,
    opFlags = 0,
  ): Ticket | null {
    const address = this.#target.memory.arena.address + memoryOffset;
    return this.#add(target, opcode, address, length, position, opFlags, length);
  }

  /** A vectored read or write of `total` bytes; the iovecs, in the arena, may be changed. */
  transferVector(
    target: Completion,
    opcode: number,
    position: number,
    iovecsOffset: number,
    iovecCount: number,
    total: number,
  ): Ticket | null {
    const address = this.#target.memory.arena.address + iovecsOffset;
    return this.#add(target, opcode, address, iovecCount, position, 0, total);
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

  /** What is started from now on reaches the kernel together, in {@link submitHeld}: one system call, and it merges. */
  hold(): void {
    this.#isHeld = true;
  }

  submitHeld(): void {
    this.#isHeld = false;
    if (this.#inFlight > FEW) this.#target.reactor.submitNow();
  }

  /**
   * Completes a read or write that still waits for its turn with −ECANCELED, from inside of this call; does nothing
   * once the device has it.
   *
   * @param target - Whose operation it was: one that is over may serve another by now.
   */
  cancel(operation: Ticket, target: Completion): void {
    const { lane } = operation;
    if (operation.target !== target) return;
    if (operation.ioList === lane.waiting) {
      lane.waiting.remove(operation);
      this.#queued--;
    } else if (this.#target.queue?.cancel(operation) === true) {
      lane.inFlight--;
      this.#inFlight--;
    } else return;
    this.#recycle(operation);
    target.complete(-ERRNO.ECANCELED, 0);
    this.#afterOne(lane);
  }

  /** Resolves when an operation of the current group is not refused because of what is queued already. */
  waitForRoom(signal?: AbortSignal): Promise<void> {
    const options = signal === undefined ? undefined : { signal };
    return this.#room.waitUntil(() => this.#isClosed || !this.isFull, options);
  }

  /** Takes no more operations; resolves when none is in flight or waits. */
  close(): Promise<void> {
    this.#isClosed = true;
    this.#room.broadcast();
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
  ): Ticket | null {
    if (this.#isClosed || this.isFull) {
      this.#refuse(target, this.#isClosed ? -ERRNO.EBADF : -ERRNO.EBUSY);
      return null;
    }
    const lane = this.#currentLane();
    const operation = this.#pool.pop() ?? new FileOperation(this, lane);
    operation.target = target;
    operation.lane = lane;
    operation.opcode = opcode;
    operation.address = address;
    operation.length = length;
    operation.offset = offset;
    operation.opFlags = opFlags;
    operation.total = total;
    operation.done = 0;
    operation.retries = 0;
    operation.groupId = lane.groupId;
    operation.isWrite = !isRead(opcode);
    operation.sizeBytes = total;
    operation.isScheduled = total > 0 && this.#target.queue !== null;
    if (lane.inFlight < this.#target.depth) this.#begin(lane, operation);
    else {
      lane.waiting.push(operation);
      this.#queued++;
    }
    // The queue of the device may have refused it.
    return operation.target === null ? null : operation;
  }

  #currentLane(): Lane {
    const groupId = currentGroupId();
    return this.#lane.groupId === groupId ? this.#lane : this.#switchLane(groupId);
  }

  #switchLane(groupId: number): Lane {
    let lane = this.#lanes.find((one) => one.groupId === groupId);
    if (lane === undefined) {
      lane = new Lane(groupId);
      this.#lanes.push(lane);
    }
    this.#lane = lane;
    return lane;
  }

  #begin(lane: Lane, operation: FileOperation): void {
    lane.inFlight++;
    this.#inFlight++;
    if (!operation.isScheduled) this.start(operation);
    else if (this.#target.queue?.submit(operation) === false) this.#giveUp(operation);
  }

  #startWaiting(lane: Lane): void {
    // Whoever made the room: what the ring is given belongs to the group that waited.
    const before = swapGroup(lane.groupId);
    while (lane.inFlight < this.#target.depth) {
      const operation = lane.waiting.shift() as FileOperation | null;
      if (operation === null) break;
      this.#queued--;
      this.#begin(lane, operation);
    }
    swapGroup(before);
  }

  /** Called by the operation in its turn. */
  start(operation: FileOperation): void {
    if (!this.#growing.takes(operation)) this.#submit(operation);
  }

  #submit(operation: FileOperation): void {
    const { opcode, address, length, offset, opFlags } = operation;
    const { reactor, fd } = this.#target;
    try {
      if (this.#registered !== null) this.#registered.submit(reactor, operation);
      else reactor.submit(operation, opcode, fd, address, length, offset, opFlags);
      if (this.#inFlight > FEW && !this.#isHeld) reactor.submitNow(FEW);
    } catch (error) {
      if (!(error instanceof SunstarError)) throw error;
      // The ring has no room for one more: the limit of the shard, not of this file.
      if (operation.isScheduled) this.#target.queue?.finished(operation, false);
      this.#giveUp(operation);
    }
  }

  #giveUp(operation: FileOperation): void {
    const { target } = operation;
    this.#release(operation);
    if (target !== null) this.#refuse(target, -ERRNO.EBUSY);
  }

  /** Completes an operation that was not made, from the loop like any other. */
  #refuse(target: Completion, result: number): void {
    this.#refusals++;
    // In a turn of the group that asked.
    this.#target.reactor.defer({ complete: () => this.#answerRefused(target, result) });
  }

  #answerRefused(target: Completion, result: number): void {
    this.#refusals--;
    target.complete(result, 0);
    for (const lane of this.#lanes) this.#startWaiting(lane);
    this.#checkDrained();
  }

  /** Called by the operation when its result is there: the device may have the next one. */
  resultArrived(operation: FileOperation, result: number): void {
    if (!operation.isScheduled) return;
    if (result < 0) {
      // It may be tried again.
      if (result === -ERRNO.EINTR || result === -ERRNO.EAGAIN) return;
    } else if (operation.done + result < operation.total) return;
    operation.isScheduled = false;
    this.#target.queue?.finished(operation, result >= 0);
  }

  /** Called by the operation with the kernel's result. */
  completed(operation: FileOperation, result: number): void {
    let final = result;
    if (result === -ERRNO.EINTR || result === -ERRNO.EAGAIN) {
      if (operation.retries++ < MAX_RETRIES) {
        this.start(operation);
        return;
      }
    } else if (result >= 0 && operation.total > 0) {
      if (operation.done + result < operation.total && this.#continue(operation, result)) return;
      final = operation.done + result;
      // A write that makes no progress and gives no reason.
      if (final < operation.total && !isRead(operation.opcode)) final = -ERRNO.EIO;
    }
    const { target, lane } = operation;
    if (final >= 0) this.#growing.succeeded(operation, final);
    if (operation.isScheduled) this.#target.queue?.finished(operation, final >= 0);
    this.#release(operation);
    target?.complete(final, 0);
    this.#afterOne(lane);
  }

  #afterOne(lane: Lane): void {
    if (lane.waiting.size > 0) this.#startWaiting(lane);
    if (this.#room.waiters > 0) this.#room.broadcast();
    this.#checkDrained();
  }

  /** Goes on with a transfer that came up short; false when it is over. */
  #continue(operation: FileOperation, moved: number): boolean {
    const { alignmentBytes } = this.#target;
    // A read ends at the end of the file: nothing more, or (O_DIRECT) a part of a sector.
    if (isRead(operation.opcode) && (moved === 0 || moved % alignmentBytes !== 0)) return false;
    // Part of a sector was not written as far as O_DIRECT goes: the whole sector is written again.
    const count = alignDown(moved, alignmentBytes);
    if (count > 0) operation.retries = 0;
    else if (operation.retries++ >= MAX_RETRIES) return false;
    operation.done += count;
    operation.offset += count;
    if (operation.opcode === IORING_OP.WRITEV || operation.opcode === IORING_OP.READV) {
      const used = advanceIovecs(this.#target.memory, operation.address, count);
      operation.address += used * IOVEC_SIZE_BYTES;
      operation.length -= used;
    } else {
      operation.address += count;
      operation.length -= count;
    }
    this.start(operation);
    return true;
  }

  #release(operation: FileOperation): void {
    if (operation.isGrowing) this.#growing.ended(operation);
    operation.lane.inFlight--;
    this.#inFlight--;
    this.#recycle(operation);
  }

  #recycle(operation: FileOperation): void {
    operation.target = null;
    if (this.#pool.length < MAX_POOLED) this.#pool.push(operation);
  }

  #checkDrained(): void {
    if (this.#drained === null || this.#inFlight > 0 || this.queued > 0 || this.#refusals > 0) return;
    this.#drained();
    this.#drained = null;
  }

  invariants(): void {
    const check = (holds: boolean, what: string): void => {
      if (!holds) throw new SunstarError('SUNSTAR_INVARIANT', `FileOperations: broken: ${what}.`);
    };
    let inFlight = 0;
    let queued = 0;
    for (const lane of this.#lanes) {
      lane.waiting.invariants(check);
      check(
        lane.inFlight >= 0 && lane.inFlight <= this.#target.depth,
        'a group has at most `depth` in flight',
      );
      check(
        lane.waiting.size === 0 || lane.inFlight === this.#target.depth,
        'nothing waits while there is room',
      );
      inFlight += lane.inFlight;
      queued += lane.waiting.size;
    }
    check(inFlight === this.#inFlight && queued === this.#queued, 'the groups add up to the file');
    this.#growing.invariants(this.#inFlight);
  }
}
