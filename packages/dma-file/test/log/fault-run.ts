import { ERRNO, OutOfMemoryError, SunstarError } from '@sunstar/runtime';
import fc from 'fast-check';
import { expect } from 'vitest';
import { Log } from '../../src/log/log.js';
import type { LogOptions } from '../../src/log/log-options.js';
import { randomOf } from '../appender/manual-target.js';
import { type Choose, SimulatedDisk } from './simulated-disk.js';

const OPTIONS: LogOptions = {
  segmentBytes: 65536,
  maxBatchBytes: 50_000,
  indexIntervalBytes: 1024,
  maxRecycled: 1,
  retentionBytes: 100_000,
  appender: {
    chunkBytes: 8192,
    maxBufferedBytes: 65536,
    maxWritesInFlight: 4,
    allocationStepBytes: 32768,
    zeroAheadBytes: 16384,
  },
  now: () => 1000,
};

export type Action =
  | { readonly kind: 'append'; readonly sizeBytes: number; readonly records: number }
  | { readonly kind: 'flush' }
  | { readonly kind: 'roll' }
  | { readonly kind: 'retry' }
  | { readonly kind: 'complete'; readonly count: number }
  /** The operation that comes after so many fails. */
  | { readonly kind: 'fault'; readonly after: number; readonly error: number }
  /** How the process ends; the next one opens the log again. */
  | { readonly kind: 'close' | 'kill' | 'powerCut' };

const sizeBytes = fc.oneof(fc.integer({ min: 0, max: 300 }), fc.integer({ min: 0, max: 30_000 }));
const action: fc.Arbitrary<Action> = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({
      kind: fc.constant('append' as const),
      sizeBytes,
      records: fc.integer({ min: 1, max: 5 }),
    }),
  },
  { weight: 3, arbitrary: fc.constant({ kind: 'flush' as const }) },
  { weight: 2, arbitrary: fc.constant({ kind: 'roll' as const }) },
  { weight: 1, arbitrary: fc.constant({ kind: 'retry' as const }) },
  {
    weight: 6,
    arbitrary: fc.record({ kind: fc.constant('complete' as const), count: fc.integer({ min: 1, max: 40 }) }),
  },
  {
    weight: 3,
    arbitrary: fc.record({
      kind: fc.constant('fault' as const),
      after: fc.nat(30),
      error: fc.constantFrom(-ERRNO.EIO, -ERRNO.EIO, -ERRNO.ENOSPC),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({ kind: fc.constantFrom('close' as const, 'kill' as const, 'powerCut' as const) }),
  },
);

/** What a call of a log on a failing disk may be refused with. */
const CODES = new Set([
  'SUNSTAR_EIO',
  'SUNSTAR_ENOSPC',
  'SUNSTAR_APPENDER_POISONED',
  'SUNSTAR_LOG_CLOSED',
  // The log was closed while it waited.
  'SUNSTAR_APPENDER_CLOSED',
]);

interface Batch {
  readonly id: number;
  readonly sizeBytes: number;
  readonly records: number;
}

function payloadOf({ id, sizeBytes }: Batch): Buffer {
  const payload = Buffer.alloc(sizeBytes, (id * 31 + sizeBytes) & 0xff);
  if (sizeBytes >= 4) payload.writeUInt32LE(id, 0);
  return payload;
}

function atRandom(random: () => number): Choose {
  return (count) => Math.floor(random() * count);
}

/**
 * A log on a disk whose operations fail, beside what a list says: which batch has which sequence number, and how far
 * somebody was told that the log is durable.
 */
class FaultRun {
  readonly random: () => number;
  disk: SimulatedDisk;
  log!: Log;
  /** Batches that were accepted, by their sequence number. */
  readonly batches = new Map<number, Batch>();
  /** The highest sequence number that was ever reported as durable. */
  promised = 0;
  waiting: Promise<void>[] = [];
  nextId = 0;

  constructor(seed: number) {
    this.random = randomOf(seed);
    this.disk = new SimulatedDisk(this.random);
  }

  async step(action: Action): Promise<void> {
    const { disk, log } = this;
    switch (action.kind) {
      case 'append':
        this.append({ id: this.nextId++, sizeBytes: action.sizeBytes, records: action.records });
        break;
      case 'flush':
        this.flush();
        break;
      case 'roll':
        this.expectRefusal(log.roll());
        break;
      case 'retry':
        this.retry();
        break;
      case 'fault':
        disk.failAt(action.after, action.error);
        break;
      case 'complete':
        await disk.some(action.count);
        break;
      case 'close':
      case 'kill':
      case 'powerCut':
        await this.reopen(action.kind);
        break;
    }
    // The next process may have another disk.
    await this.disk.some(1);
    this.check();
  }

  append(batch: Batch): void {
    const { log } = this;
    this.expectRefusal(
      log.append(payloadOf(batch), batch.records).then((sequence) => {
        if (log === this.log) this.batches.set(sequence, batch);
      }),
    );
  }

  flush(): void {
    const { log } = this;
    const wanted = log.nextSequence;
    const poison = this.poison();
    this.expectRefusal(
      log.flush().then((durable) => {
        expect(durable).toBeGreaterThanOrEqual(wanted);
        // A poisoned log gives nothing away for durable that was not so before.
        if (poison !== null) expect(log.durableSequence).toBe(durable);
        if (log === this.log) this.promised = Math.max(this.promised, durable);
      }),
    );
  }

  retry(): void {
    const poison = this.poison();
    if (poison === null) this.log.retry();
    else expect(() => this.log.retry()).toThrow(poison);
  }

  poison(): SunstarError | null {
    const { failure } = this.log;
    return failure?.code === 'SUNSTAR_APPENDER_POISONED' ? failure : null;
  }

  /** Whatever fails has a reason that is known. */
  expectRefusal(promise: Promise<unknown>): void {
    this.waiting.push(
      promise.then(
        () => undefined,
        (error: unknown) => {
          expect(error).toBeInstanceOf(SunstarError);
          if (!(error instanceof OutOfMemoryError)) expect(CODES).toContain((error as SunstarError).code);
        },
      ),
    );
  }

  check(): void {
    const { log } = this;
    log.invariants();
    this.promised = Math.max(this.promised, log.durableSequence);
    expect(log.durableSequence).toBeLessThanOrEqual(log.nextSequence);
  }

  async reopen(how: 'close' | 'kill' | 'powerCut'): Promise<void> {
    const { disk, log } = this;
    this.check();
    if (how === 'close') {
      const wasPoisoned = this.poison() !== null;
      const closing = log.close().then(
        () => true,
        (error: unknown) => {
          expect(CODES).toContain((error as SunstarError).code);
          return false;
        },
      );
      const isWhole = await disk.run(closing);
      await disk.run(Promise.all(this.waiting));
      if (wasPoisoned) expect(isWhole).toBe(false);
      if (isWhole) this.promised = Math.max(this.promised, log.nextSequence);
      expect(disk.openFiles).toBe(0);
      expect(disk.memory.stats().liveBlocks).toBe(0);
      disk.heal();
    } else {
      // Those who wait are gone with the process.
      this.disk =
        how === 'kill' ? disk.afterKill() : disk.afterPowerCut(disk.events.length, atRandom(this.random));
    }
    this.waiting = [];
    this.log = await this.disk.run(Log.open(this.disk, OPTIONS));
    await this.checkContent();
  }

  /** The log has what was promised, and only what was appended, in its order. */
  async checkContent(): Promise<void> {
    const { log } = this;
    expect(log.nextSequence, 'what was durable is there').toBeGreaterThanOrEqual(this.promised);
    const found = await this.disk.run(readAll(log));
    let next = log.firstSequence;
    for (const { sequence, records, payload } of found) {
      expect(sequence).toBe(next);
      const batch = this.batches.get(sequence);
      expect(batch).toBeDefined();
      expect({ records, same: payload.equals(payloadOf(batch as Batch)) }).toEqual({
        records: batch?.records,
        same: true,
      });
      next += records;
    }
    expect(next).toBe(log.nextSequence);
    // What is lost was promised to nobody: its numbers are given again.
    for (const sequence of this.batches.keys()) if (sequence >= next) this.batches.delete(sequence);
  }
}

async function readAll(log: Log): Promise<{ sequence: number; records: number; payload: Buffer }[]> {
  const batches = [];
  for await (const batch of log.read()) batches.push(batch);
  return batches;
}

/** Runs actions, then every way to end, and checks after each. */
export async function runWithFaults(seed: number, actions: readonly Action[]): Promise<void> {
  const run = new FaultRun(seed);
  run.log = await run.disk.run(Log.open(run.disk, OPTIONS));
  for (const step of actions) await run.step(step);
  await run.reopen('close');
  await run.reopen('kill');
  await run.reopen('powerCut');
  run.append({ id: run.nextId++, sizeBytes: 100, records: 1 });
  run.flush();
  await run.disk.run(Promise.all(run.waiting));
  await run.reopen('powerCut');
  await run.disk.run(run.log.close());
}

/** Any actions on any disk. */
export function faultProperty(): fc.IAsyncPropertyWithHooks<[number, readonly Action[]]> {
  return fc.asyncProperty(fc.nat(), fc.array(action, { maxLength: 120, size: 'max' }), runWithFaults);
}
