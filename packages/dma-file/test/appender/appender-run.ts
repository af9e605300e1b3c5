import { OutOfMemoryError, SunstarError } from '@sunstar/runtime';
import fc from 'fast-check';
import { expect } from 'vitest';
import { Extent } from '../../src/appender/extent.js';
import type { SegmentAppenderOptions } from '../../src/appender/options.js';
import { SegmentAppender } from '../../src/appender/segment-appender.js';
import { byteAt, EIO, ENOSPC, ManualTarget, type Parked, randomOf, settle } from './manual-target.js';

export const OPTIONS: SegmentAppenderOptions = {
  chunkBytes: 256,
  maxBufferedBytes: 768,
  maxWritesInFlight: 3,
  allocationStepBytes: 1024,
  zeroAheadBytes: 768,
  zeroAheadMaxFlushBytes: 600,
};

export type Action =
  | { readonly kind: 'append'; readonly size: number; readonly fromArena: boolean }
  | { readonly kind: 'write'; readonly size: number }
  | { readonly kind: 'flush' }
  | { readonly kind: 'request' }
  | { readonly kind: 'waitForRoom' }
  | { readonly kind: 'exhaust'; readonly allowed: number }
  | { readonly kind: 'complete'; readonly which: number }
  | { readonly kind: 'completeMany'; readonly count: number }
  | { readonly kind: 'powerCut'; readonly seed: number }
  | { readonly kind: 'truncate'; readonly share: number }
  | { readonly kind: 'fail'; readonly which: number; readonly error: number };

const append = fc.record({
  kind: fc.constant('append' as const),
  size: fc.oneof(fc.integer({ min: 0, max: 40 }), fc.integer({ min: 0, max: 700 }), fc.constantFrom(64, 256)),
  fromArena: fc.boolean(),
});
const complete = fc.record({ kind: fc.constant('complete' as const), which: fc.nat(50) });
const completeMany = fc.record({
  kind: fc.constant('completeMany' as const),
  count: fc.integer({ min: 2, max: 12 }),
});
export const ordinary: fc.Arbitrary<Action>[] = [
  append,
  append,
  complete,
  complete,
  completeMany,
  completeMany,
  fc.constant({ kind: 'flush' as const }),
  fc.constant({ kind: 'request' as const }),
  fc.constant({ kind: 'waitForRoom' as const }),
  fc.record({ kind: fc.constant('powerCut' as const), seed: fc.nat() }),
];
export const write: fc.Arbitrary<Action> = fc.record({
  kind: fc.constant('write' as const),
  size: fc.integer({ min: 1, max: 700 }),
});
/** Everything that flushes or waits by itself. */
export const paced: fc.Arbitrary<SegmentAppenderOptions> = fc.record({
  flushBytes: fc.constantFrom(0, 1, 300),
  flushDelayMs: fc.constantFrom(0, 100),
  commitDelayMs: fc.constantFrom(0, 1, 1000),
  segmentBytes: fc.constantFrom(0, 512, 3000),
});
export const truncate: fc.Arbitrary<Action> = fc.record({
  kind: fc.constant('truncate' as const),
  share: fc.double({ min: 0, max: 1, noNaN: true }),
});
export const exhaust: fc.Arbitrary<Action> = fc.record({
  kind: fc.constant('exhaust' as const),
  allowed: fc.constantFrom(0, 1, 2, 3, 100),
});
export const fail: fc.Arbitrary<Action> = fc.record({
  kind: fc.constant('fail' as const),
  which: fc.nat(50),
  error: fc.constantFrom(ENOSPC, EIO),
});

/** The code with which an appender stops when an operation fails; undefined when it goes on. */
function failureCode(operation: Parked, error: number): string | undefined {
  if (operation.kind === 'sync') return 'SUNSTAR_APPENDER_POISONED';
  // Space ahead is a help, not a need.
  if (operation.kind !== 'write' || !(operation.completion instanceof Extent)) return undefined;
  if (error === ENOSPC) return 'SUNSTAR_ENOSPC';
  return operation.isDurable ? 'SUNSTAR_APPENDER_POISONED' : 'SUNSTAR_EIO';
}

/** An assertion for hot loops. */
function ensure(condition: boolean, what: string): void {
  if (!condition) throw new Error(`broken: ${what}`);
}

/** Runs actions on an appender beside a plain array of bytes, and checks both after every one. */
export class Run {
  readonly target = new ManualTarget();
  readonly random = randomOf(42);
  /** What was appended: the first `length` bytes. */
  readonly model = { bytes: Buffer.alloc(1 << 17), length: 0 };
  readonly rooms: { offset: number; promise: Promise<void>; isSettled: boolean }[] = [];
  readonly flushes: { offset: number; promise: Promise<void>; isSettled: boolean }[] = [];
  appender!: SegmentAppender;
  generation = 0;
  flushedSeen = 0;
  callbackSeen = 0;
  stableSeen = 0;
  isTruncating = false;
  isRecycled = false;
  /** After every step a power cut is tried, not only when a flush was answered. */
  cutsEveryStep = false;
  arenaBlock = 0;
  /** What write() has to append, in order. */
  readonly writes: { size: number; isDone: boolean; promise: Promise<void> }[] = [];

  /** @param oldBytes - What is left of a former use of the file. */
  async open(options: SegmentAppenderOptions = {}, oldBytes = 0): Promise<void> {
    this.isRecycled = oldBytes > 0;
    this.target.fileSize = oldBytes;
    this.target.content.fill(0xaa, 0, oldBytes);
    const opening = SegmentAppender.open(this.target, {
      ...OPTIONS,
      ...options,
      ...(this.isRecycled ? { position: 0, recycle: true } : {}),
      onFlushed: (offset) => {
        expect(offset).toBeGreaterThanOrEqual(this.callbackSeen);
        this.callbackSeen = offset;
      },
    });
    await this.drainUntil(opening);
    this.appender = await opening;
    this.arenaBlock = this.target.memory.real.allocate(1024);
  }

  async step(action: Action): Promise<void> {
    const { target, appender } = this;
    target.nowMs += 50;
    switch (action.kind) {
      case 'append':
        this.append(action.size, action.fromArena);
        break;
      case 'write':
        this.write(action.size);
        break;
      case 'flush':
        this.flush();
        break;
      case 'request':
        appender.requestFlush();
        break;
      case 'exhaust':
        target.memory.allowed = action.allowed;
        break;
      case 'waitForRoom':
        this.waitForRoom();
        break;
      case 'complete':
        if (target.parked.length > 0) target.complete(action.which % target.parked.length);
        break;
      case 'completeMany':
        for (let i = 0; i < action.count && target.parked.length > 0; i++) {
          target.complete(Math.floor(this.random() * target.parked.length));
          await settle();
        }
        break;
      case 'powerCut':
        this.checkPowerCut(randomOf(action.seed));
        break;
      case 'truncate':
        this.truncate(Math.floor(action.share * this.model.length));
        break;
      case 'fail': {
        const index = action.which % Math.max(1, target.parked.length);
        const operation = target.parked[index];
        if (operation === undefined || operation.kind === 'defer') break;
        const before = appender.failure;
        target.complete(index, action.error);
        if (before === null) expect(this.appender.failure?.code).toBe(failureCode(operation, action.error));
        break;
      }
    }
    await settle();
    // Each write that waits takes some turns of its own.
    for (let i = 0; i < this.writes.length && this.writes.some((write) => !write.isDone); i++) await settle();
    this.check();
    if (this.cutsEveryStep) this.checkPowerCut(this.random);
  }

  append(size: number, fromArena: boolean): void {
    const { appender, model } = this;
    const bytes = Buffer.from(
      Array.from({ length: size }, (_, i) => byteAt(model.length + i, this.generation)),
    );
    if (!appender.hasRoom) {
      if (size > 0) expect(() => appender.append(bytes)).toThrow();
      expect(appender.appended).toBe(model.length);
      return;
    }
    let end: number;
    try {
      if (fromArena) {
        bytes.copy(this.target.memory.bytes, this.arenaBlock);
        end = appender.appendRange(this.arenaBlock, size);
      } else {
        const cut = size >> 1;
        end =
          size % 3 === 0
            ? appender.appendParts([bytes.subarray(0, cut), bytes.subarray(cut)])
            : appender.append(bytes);
        // The caller's bytes are the caller's again.
        bytes.fill(0xdd);
      }
    } catch (error) {
      // All or nothing: the memory or the disk is full.
      const isDiskFull = error instanceof SunstarError && error.code === 'SUNSTAR_ENOSPC';
      ensure(isDiskFull || error instanceof OutOfMemoryError, String(error));
      expect(appender.appended).toBe(model.length);
      return;
    }
    for (let i = 0; i < size; i++) model.bytes[model.length + i] = byteAt(model.length + i, this.generation);
    model.length += size;
    ensure(end === model.length, 'append() returns the end');
  }

  /** The model takes the bytes when the appender says that it did. */
  write(size: number): void {
    const { appender, model } = this;
    const data = Buffer.alloc(size, size & 0xff);
    const write = { size, isDone: false, promise: Promise.resolve() };
    write.promise = appender.write(data).then(
      (end) => {
        write.isDone = true;
        ensure(
          this.writes.every((other, i) => other.isDone || i > this.writes.indexOf(write)),
          'writes keep their order',
        );
        model.bytes.fill(size & 0xff, end - size, end);
        model.length = Math.max(model.length, end);
      },
      (error: unknown) => {
        write.isDone = true;
        ensure(error instanceof SunstarError && error.code === 'SUNSTAR_ENOSPC', String(error));
      },
    );
    this.writes.push(write);
  }

  flush(): void {
    const flush = { offset: this.model.length, isSettled: false, promise: Promise.resolve() };
    flush.promise = this.appender.flush().then(
      (flushed) => {
        flush.isSettled = true;
        expect(flushed).toBeGreaterThanOrEqual(flush.offset);
        if (!this.isTruncating) this.checkPowerCut(this.random);
      },
      (error: unknown) => {
        flush.isSettled = true;
        expect(this.appender.failure ?? 'no failure').toBe(error);
      },
    );
    this.flushes.push(flush);
  }

  waitForRoom(): void {
    const waiter = { offset: Number.POSITIVE_INFINITY, isSettled: false, promise: Promise.resolve() };
    waiter.promise = this.appender.waitForRoom().then(
      () => {
        waiter.isSettled = true;
        expect(this.appender.hasRoom).toBe(true);
      },
      () => {
        waiter.isSettled = true;
        expect(this.appender.failure).not.toBeNull();
      },
    );
    this.rooms.push(waiter);
  }

  truncate(size: number): void {
    if (this.isTruncating) return;
    this.isTruncating = true;
    const promise = this.appender.truncate(size).then(
      () => {
        this.model.length = size;
        this.generation++;
        this.flushedSeen = size;
        this.callbackSeen = size;
        this.stableSeen = size;
        this.isTruncating = false;
        expect(this.appender.appended).toBe(size);
        expect(this.appender.flushed).toBe(size);
      },
      () => {
        this.isTruncating = false;
        expect(this.appender.failure).not.toBeNull();
      },
    );
    this.flushes.push({ offset: 0, isSettled: true, promise });
  }

  check(): void {
    const { appender, target, model } = this;
    appender.invariants();
    if (this.isTruncating) return;
    const { flushed, stable, appended } = appender;
    ensure(appended === model.length, 'all appended bytes are counted');
    ensure(flushed >= this.flushedSeen && stable >= this.stableSeen, 'offsets never go back');
    this.flushedSeen = flushed;
    this.stableSeen = stable;
    ensure(this.holds(target.content, stable), `the file has ${stable} bytes`);
    // Whoever reads the file after a crash finds zeros behind the log.
    ensure(this.isRecycled || target.isZeroFrom(appended), 'zeros follow the log');
    ensure(appender.stats.syncs <= appender.stats.flushes, 'no more syncs than flushes');
    ensure(!appender.hasRoom || this.rooms.every((room) => room.isSettled), 'room is announced');
    if (appender.failure !== null) return;
    ensure(
      this.flushes.every((flush) => flush.isSettled || flush.offset > flushed),
      'flushes of flushed bytes are resolved',
    );
  }

  checkPowerCut(random: () => number): void {
    if (this.isTruncating) return;
    const { flushed } = this.appender;
    ensure(this.holds(this.target.afterPowerCut(random), flushed), `a power cut keeps ${flushed} bytes`);
  }

  /** Whether a file begins with the first `end` bytes of the log. */
  holds(content: Buffer, end: number): boolean {
    return content.subarray(0, end).equals(this.model.bytes.subarray(0, end));
  }

  /** Completes what is parked, in random order, until the promise settles. */
  async drainUntil(promise: Promise<unknown>): Promise<void> {
    let isSettled = false;
    const done = (): void => {
      isSettled = true;
    };
    promise.then(done, done);
    for (let i = 0; i < 2000; i++) {
      await settle();
      if (isSettled) return;
      const { parked } = this.target;
      if (parked.length === 0) throw new Error('stuck: nothing is in flight and the promise is pending');
      this.target.complete(Math.floor(this.random() * parked.length));
    }
    throw new Error('the promise does not settle');
  }

  async close(): Promise<void> {
    const { appender, target } = this;
    // Appends that fill the buffer must not wait for a flush that nobody asked for.
    await this.drainUntil(Promise.all(this.rooms.map((room) => room.promise)));
    await this.drainUntil(Promise.all(this.writes.map((write) => write.promise)));
    const closing = appender.close();
    await this.drainUntil(closing);
    if (appender.failure === null) {
      await closing;
      expect(target.fileSize).toBe(this.model.length);
      expect(this.holds(target.content, this.model.length)).toBe(true);
      expect(appender.flushed).toBe(this.model.length);
    } else {
      await expect(closing).rejects.toBe(appender.failure);
    }
    expect(this.flushes.every((flush) => flush.isSettled)).toBe(true);
    await Promise.all(this.flushes.map((flush) => flush.promise));
    expect(target.isClosed).toBe(true);
    expect(target.parked).toHaveLength(0);
    target.memory.free(this.arenaBlock);
    target.memory.real.invariants();
    expect(target.memory.real.stats().liveBlocks).toBe(0);
  }
}
