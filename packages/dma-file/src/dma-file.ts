import type { IOBuf } from '@sunstar/iobuf';
import { native } from '@sunstar/native';
import {
  type Completion,
  currentGroupId,
  currentShard,
  ERRNO,
  IORING_OP,
  type IoQueue,
  inThisGroup,
  type ShardContext,
  systemError,
} from '@sunstar/runtime';
import { copyRange } from './copy-range.js';
import {
  checkOffset,
  endOfFileError,
  fileBusyError,
  fileClosedError,
  invalidOptionError,
  ioQueueFullError,
} from './errors.js';
import { countClosed, countOpened, type DmaFileStats } from './file-metrics.js';
import { FileOperations, type Ticket } from './file-operations.js';
import { type FileStat, statDescriptor } from './file-stat.js';
import { linkDescriptor } from './file-system.js';
import { admitIo, type FileIoOptions, type FileReadOptions } from './io-options.js';
import { LockableFile } from './lockable-file.js';
import { type OpenedFile, openFile } from './open-file.js';
import type { DmaFileOptions } from './open-options.js';
import { OperationPromise, operate, operateWithSignal, rejected } from './operate.js';
import { type RangeTarget, readRange } from './range-read.js';
import { writeRange } from './range-write.js';
import { type FileRange, type RangeContent, type ReadManyOptions, readMany } from './read-many.js';
import type { RegisteredFile } from './registered-file.js';
import type { ScatterBatch, ScatterOptions } from './scatter/scatter-batch.js';
import { writeScattered } from './scatter/write-scattered.js';
import { TransferChecks } from './transfer-checks.js';
import { checkPieces, type MemoryPiece, moveVector } from './vectored.js';

/** Modes of fallocate. */
const FALLOC = { KEEP_SIZE: 1, PUNCH_HOLE: 2, ZERO_RANGE: 16 } as const;

/**
 * A file that is read and written by the device directly from and to the shard's memory, past the page cache.
 *
 * Nothing blocks the shard: every operation goes through its ring, of each scheduling group up to `depth` at the
 * same time, and they may finish in any order. Reads and writes take turns by the shares of their groups, see
 * `ShardContext.io`. What is not synced may be lost in a power cut.
 *
 * A DmaFile belongs to the shard that opened it. Errors are `SystemError`s that name the path, or
 * SUNSTAR_FILE_CLOSED, SUNSTAR_FILE_BUSY, SUNSTAR_UNALIGNED, SUNSTAR_OUT_OF_RANGE, SUNSTAR_OUT_OF_MEMORY. After
 * Seastar's `file` and Glommio's `DmaFile`.
 */
export class DmaFile extends LockableFile implements AsyncDisposable {
  readonly #shard: ShardContext;
  readonly #operations: FileOperations;
  readonly #range: RangeTarget;
  readonly #checks: TransferChecks;
  readonly #queue: IoQueue | null;
  readonly #registered: RegisteredFile | null;
  readonly #waitsWhenFull: boolean;
  #closing: Promise<void> | null = null;

  private constructor(
    shard: ShardContext,
    path: string,
    opened: OpenedFile,
    operations: FileOperations,
    queue: IoQueue | null,
    waitsWhenFull: boolean,
  ) {
    super(shard, path, opened, operations);
    const { memoryAlignmentBytes, offsetAlignmentBytes, depth } = opened;
    this.#shard = shard;
    this.#operations = operations;
    this.#queue = queue;
    this.#waitsWhenFull = waitsWhenFull;
    this.#registered = opened.registered;
    const { memory } = shard;
    this.#checks = new TransferChecks(memoryAlignmentBytes, offsetAlignmentBytes, memory.arena.sizeBytes);
    this.#range = { operations, memory, memoryAlignmentBytes, offsetAlignmentBytes, depth, path };
  }

  /** Opens a file on the current shard. The path is relative to the process's working directory. */
  static async open(path: string, options: DmaFileOptions = {}): Promise<DmaFile> {
    const shard = currentShard();
    const { whenFull = 'fail' } = options;
    if (whenFull !== 'fail' && whenFull !== 'wait') {
      throw invalidOptionError('whenFull', whenFull, "'fail' or 'wait'");
    }
    const opened = await openFile(shard, path, options);
    // What the page cache answers says nothing about the device.
    const queue = opened.isDirect ? shard.io.queueOf(opened.device) : null;
    const operations = new FileOperations({
      reactor: shard.reactor,
      memory: shard.memory,
      fd: opened.fd,
      registered: opened.registered,
      queue,
      alignmentBytes: opened.offsetAlignmentBytes,
      depth: opened.depth,
      maxQueued: opened.maxQueued,
      endBytes: opened.endBytes,
    });
    const file = new DmaFile(shard, path, opened, operations, queue, whenFull === 'wait');
    countOpened(shard, file);
    return file;
  }

  /** Whether `close()` was called. */
  get isClosed(): boolean {
    return this.#closing !== null;
  }

  get stats(): DmaFileStats {
    return { inFlight: this.#operations.inFlight, queued: this.#operations.queued };
  }

  /** Whether reads and writes use memory that the ring knows: see the option `registerMemory`. */
  get isMemoryRegistered(): boolean {
    return this.#registered?.isMemoryRegistered === true;
  }

  /** Whether the ring knows the descriptor: see the option `registerDescriptor`. */
  get isDescriptorRegistered(): boolean {
    return this.#registered?.isDescriptorRegistered === true;
  }

  /**
   * Reads up to `length` bytes from any position; fewer at the end of the file, never anything from behind it.
   * The aligned range around is read into fresh memory in pieces of 128 KiB, at the same time.
   *
   * @returns The content. The caller owns it and disposes it.
   */
  async read(position: number, length: number, options?: FileReadOptions): Promise<IOBuf> {
    checkOffset('The position', position);
    checkOffset('The length', length);
    while (this.#mustWait()) await this.#operations.waitForRoom(options?.signal);
    this.#admit(options, false, length);
    return readRange(this.#range, position, length, options?.memory, options?.signal);
  }

  /** Like {@link read}; SUNSTAR_END_OF_FILE when the file has fewer bytes there. */
  async readExactly(position: number, length: number, options?: FileReadOptions): Promise<IOBuf> {
    const content = await this.read(position, length, options);
    const { sizeBytes } = content;
    if (sizeBytes === length) return content;
    content[Symbol.dispose]();
    throw endOfFileError(this.path, length, sizeBytes);
  }

  /** Reads many ranges, merged where they are close to each other; see {@link readMany}. */
  readMany(
    ranges: Iterable<FileRange> | AsyncIterable<FileRange>,
    options?: ReadManyOptions,
  ): AsyncGenerator<RangeContent, void, undefined> {
    return readMany(this, ranges, options);
  }

  /**
   * Reads into arena memory of the caller, who keeps it until the promise settles. All three arguments are
   * aligned.
   *
   * @returns The bytes read; fewer than `length` only at the end of the file. Memory behind them is undefined.
   */
  readInto(position: number, memoryOffset: number, length: number, options?: FileIoOptions): Promise<number> {
    return this.#moveAligned(false, position, memoryOffset, length, options);
  }

  /**
   * Writes all of `data`. Position and size are multiples of `offsetAlignmentBytes`; anything else is refused
   * with SUNSTAR_UNALIGNED. Aligned fragments are written from where they are, merged with their neighbours, all
   * at the same time and in any order; what is not aligned in memory is copied first.
   *
   * The bytes must not change until the promise settles; an IOBuf may be disposed at once. After an error any
   * part of the range may have been written.
   *
   * @returns The bytes written, which are all.
   */
  async write(position: number, data: Uint8Array | IOBuf, options?: FileIoOptions): Promise<number> {
    const length = this.#checks.checkWrite(position, data);
    while (this.#mustWait()) await this.#operations.waitForRoom(options?.signal);
    this.#admit(options, true, length);
    return length === 0 ? 0 : writeRange(this.#range, position, data, options);
  }

  /**
   * Like {@link write}, page by page: all pages are given to the device at once, are done in any order, and each
   * can be awaited and fails by itself.
   *
   * @throws SunstarError when the arguments are wrong, or too many operations wait.
   */
  writeScattered(position: number, data: Uint8Array | IOBuf, options: ScatterOptions = {}): ScatterBatch {
    const length = this.#checks.checkWrite(position, data);
    if (this.#mustWait()) throw fileBusyError(this.path, this.#operations.queued);
    this.#admit(options, true, length);
    return writeScattered(this.#range, position, data, options);
  }

  /** Writes from arena memory of the caller, who keeps it until the promise settles. All is aligned. */
  writeAligned(
    position: number,
    memoryOffset: number,
    length: number,
    options?: FileIoOptions,
  ): Promise<number> {
    return this.#moveAligned(true, position, memoryOffset, length, options);
  }

  /**
   * Reads consecutive bytes of the file into pieces of arena memory of the caller, who keeps them until the promise
   * settles, in one operation. Position, memory and lengths are aligned; at most 1,024 pieces.
   *
   * @returns The bytes read; fewer than the pieces hold only at the end of the file.
   */
  readv(position: number, pieces: readonly MemoryPiece[], options?: FileIoOptions): Promise<number> {
    return this.#moveVector(false, position, pieces, options);
  }

  /** Writes pieces of arena memory one behind the other, on the terms of {@link readv}. @returns All their bytes. */
  writev(position: number, pieces: readonly MemoryPiece[], options?: FileIoOptions): Promise<number> {
    return this.#moveVector(true, position, pieces, options);
  }

  /** Makes durable what was written before this call, and the metadata that reading it needs. */
  async fdatasync(): Promise<void> {
    while (this.#mustWait()) await this.#operations.waitForRoom();
    await operate('fdatasync', this.path, (done) => this.submitSync(done));
  }

  /** Makes durable what was written before this call, and all metadata. */
  async fsync(): Promise<void> {
    while (this.#mustWait()) await this.#operations.waitForRoom();
    await operate('fsync', this.path, (done) => this.#operations.submit(done, IORING_OP.FSYNC, 0, 0, 0));
  }

  /**
   * Reserves disk space, so that writing there cannot fail for want of it and is 2–3 times faster than at the
   * end of a growing file. New space reads as zeros.
   *
   * @param options - `keepSize`: the size of the file stays; otherwise it grows to cover the range.
   */
  async allocate(position: number, length: number, options: { keepSize?: boolean } = {}): Promise<void> {
    await this.#fallocate(options.keepSize === true ? FALLOC.KEEP_SIZE : 0, position, length);
  }

  /** Gives the disk space of a range back: it reads as zeros, and the size of the file stays. */
  async deallocate(position: number, length: number): Promise<void> {
    await this.#fallocate(FALLOC.PUNCH_HOLE | FALLOC.KEEP_SIZE, position, length);
  }

  /**
   * Makes a range read as zeros, without writing them where the file system can mark it so.
   *
   * @param options - `keepSize`: the size of the file stays; otherwise it grows to cover the range.
   */
  async zeroRange(position: number, length: number, options: { keepSize?: boolean } = {}): Promise<void> {
    const keep = options.keepSize === true ? FALLOC.KEEP_SIZE : 0;
    await this.#fallocate(FALLOC.ZERO_RANGE | keep, position, length);
  }

  /**
   * Has the file system allocate in units of so many bytes, a multiple of its blocks, before anything was written:
   * large ones keep a file that grows in small steps in one piece. False where it cannot; only xfs can.
   */
  hintExtentSize(sizeBytes: number): boolean {
    if (this.#closing !== null) throw fileClosedError(this.path);
    checkOffset('The size', sizeBytes, 2 ** 32 - 1);
    const result = native.setExtentHint(this.fd, sizeBytes);
    if (result === 0) return true;
    if (result === -ERRNO.EOPNOTSUPP || result === -ERRNO.ENOTTY) return false;
    throw systemError('ioctl', result, this.path);
  }

  /**
   * Copies bytes of another file to this one, through the shard's memory, several pieces at a time. All three are
   * aligned; where the source ends inside of a sector, the rest of that sector is filled with zeros.
   *
   * @returns Bytes copied; fewer than `length` when the source ends before.
   */
  copyFrom(source: DmaFile, sourcePosition: number, position: number, length: number): Promise<number> {
    return copyRange(source, this, sourcePosition, position, length);
  }

  /** Gives a file a name, for one that was opened with `temporary`. SUNSTAR_EEXIST when the name is taken. */
  async link(path: string): Promise<void> {
    if (this.#closing !== null) throw fileClosedError(this.path);
    await linkDescriptor(this.#shard, this.fd, path);
  }

  async #fallocate(mode: number, position: number, length: number): Promise<void> {
    checkOffset('The position', position);
    checkOffset('The length', length);
    while (this.#mustWait()) await this.#operations.waitForRoom();
    await operate('fallocate', this.path, (done) =>
      this.#operations.submit(done, IORING_OP.FALLOCATE, length, mode, position),
    );
  }

  /** Cuts the file, or extends it with zeros that take no space. */
  async truncate(sizeBytes: number): Promise<void> {
    checkOffset('The size', sizeBytes);
    while (this.#mustWait()) await this.#operations.waitForRoom();
    await operate('ftruncate', this.path, (done) => this.submitTruncate(done, sizeBytes));
  }

  /** The size of the file. */
  async size(): Promise<number> {
    return (await this.stat()).sizeBytes;
  }

  /** What the kernel knows about the file. */
  async stat(): Promise<FileStat> {
    while (this.#mustWait()) await this.#operations.waitForRoom();
    return statDescriptor(this.path, this.#shard.memory, this.#operations);
  }

  /** Takes no more operations, waits for those in flight, and closes the descriptor. */
  close(): Promise<void> {
    this.#closing ??= this.#close();
    return inThisGroup(this.#closing);
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  async #close(): Promise<void> {
    countClosed(this.#shard, this);
    this.locks.close();
    await this.#operations.close();
    this.#registered?.close();
    await this.#shard.reactor.closeAndWait(this.fd);
    this.locks.closed();
  }

  /** Throws when the state contradicts itself. For tests. */
  invariants(): void {
    this.#operations.invariants();
  }

  /** Not async: a promise more for each operation is dear where operations come one at a time. */
  #moveAligned(
    isWrite: boolean,
    position: number,
    memoryOffset: number,
    length: number,
    options: FileIoOptions | undefined,
  ): Promise<number> {
    try {
      this.#checks.checkPosition(position);
      this.#checks.checkMemory(memoryOffset, length);
      if (this.#mustWait()) return this.#moveWhenRoom(isWrite, position, memoryOffset, length, options);
      this.#admit(options, isWrite, length);
    } catch (error) {
      return rejected(error);
    }
    const syscall = isWrite ? 'write' : 'read';
    const opcode = isWrite ? IORING_OP.WRITE : IORING_OP.READ;
    const signal = options?.signal;
    if (signal === undefined) {
      const operation = new OperationPromise(syscall, this.path);
      this.#operations.transfer(operation, opcode, position, memoryOffset, length);
      return operation.promise;
    }
    const submit = (done: Completion): Ticket | null =>
      this.#operations.transfer(done, opcode, position, memoryOffset, length);
    return operateWithSignal(syscall, this.path, this.#operations, signal, submit);
  }

  async #moveWhenRoom(
    isWrite: boolean,
    position: number,
    memoryOffset: number,
    length: number,
    options: FileIoOptions | undefined,
  ): Promise<number> {
    while (this.#mustWait()) await this.#operations.waitForRoom(options?.signal);
    return this.#moveAligned(isWrite, position, memoryOffset, length, options);
  }

  async #moveVector(
    isWrite: boolean,
    position: number,
    pieces: readonly MemoryPiece[],
    options: FileIoOptions | undefined,
  ): Promise<number> {
    const total = checkPieces(this.#checks, position, pieces);
    while (this.#mustWait()) await this.#operations.waitForRoom(options?.signal);
    this.#admit(options, isWrite, total);
    return total === 0 ? 0 : moveVector(this.#range, isWrite, position, pieces, total, options?.signal);
  }

  /**
   * Whether an operation has to wait before it is submitted; throws when it may not. Asked again after each wait,
   * because others were woken, too.
   */
  #mustWait(): boolean {
    if (this.#closing !== null) throw fileClosedError(this.path);
    const operations = this.#operations;
    if (!operations.isFull) return false;
    if (this.#waitsWhenFull) return true;
    if (this.#queue?.isFull(currentGroupId()) !== true) throw fileBusyError(this.path, operations.queued);
    throw ioQueueFullError(this.path, this.#shard.io.options.maxQueuedPerGroup);
  }

  #admit(options: FileIoOptions | undefined, isWrite: boolean, sizeBytes: number): void {
    if (options === undefined) return;
    admitIo(options, this.#queue, this.path, isWrite, sizeBytes, this.#operations.roundsAhead);
  }
}
