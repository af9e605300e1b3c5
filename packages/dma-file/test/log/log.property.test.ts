import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Log } from '../../src/log/log.js';
import type { LogOptions } from '../../src/log/log-options.js';
import { randomOf, settle } from '../appender/manual-target.js';
import { AllChoices, type Choose, SimulatedDisk } from './simulated-disk.js';

const OPTIONS: LogOptions = {
  segmentBytes: 65536,
  maxBatchBytes: 50_000,
  indexIntervalBytes: 1024,
  maxRecycled: 2,
  appender: {
    chunkBytes: 8192,
    maxBufferedBytes: 65536,
    maxWritesInFlight: 4,
    allocationStepBytes: 32768,
    zeroAheadBytes: 16384,
  },
  now: () => 1000,
};

/** States after a power cut that are all looked at; of more, so many at random. */
const MAX_STATES = 64;
const SAMPLES = 16;
const PAGE_BYTES = 4096;

type Action =
  | { readonly kind: 'append'; readonly size: number; readonly records: number }
  | { readonly kind: 'flush' }
  | { readonly kind: 'roll' }
  | { readonly kind: 'complete'; readonly count: number };

const action: fc.Arbitrary<Action> = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.record({
      kind: fc.constant('append' as const),
      size: fc.oneof(fc.integer({ min: 0, max: 300 }), fc.integer({ min: 0, max: 30_000 })),
      records: fc.integer({ min: 1, max: 5 }),
    }),
  },
  { weight: 2, arbitrary: fc.constant({ kind: 'flush' as const }) },
  { weight: 1, arbitrary: fc.constant({ kind: 'roll' as const }) },
  {
    weight: 4,
    arbitrary: fc.record({ kind: fc.constant('complete' as const), count: fc.integer({ min: 1, max: 30 }) }),
  },
);

/** What a batch with a sequence number holds. */
function payloadOf(sequence: number, size: number): Buffer {
  const payload = Buffer.alloc(size, (sequence * 31 + size) & 0xff);
  if (size >= 4) payload.writeUInt32LE(sequence, 0);
  return payload;
}

interface Appended {
  readonly sequence: number;
  readonly records: number;
  readonly size: number;
}

/** Runs actions on a log; gives what was appended. The disk notes what was durable when. */
async function write(
  disk: SimulatedDisk,
  actions: readonly Action[],
  options: LogOptions,
): Promise<Appended[]> {
  const log = await disk.run(Log.open(disk, options));
  const appended: Appended[] = [];
  const waiting: Promise<void>[] = [];
  let next = log.nextSequence;
  for (const step of actions) {
    if (step.kind === 'append') {
      const { size, records } = step;
      const sequence = next;
      next += records;
      appended.push({ sequence, records, size });
      waiting.push(
        log.append(payloadOf(sequence, size), records).then((given) => expect(given).toBe(sequence)),
      );
    } else if (step.kind === 'flush') {
      waiting.push(log.flush().then((durable) => disk.note(durable)));
    } else if (step.kind === 'roll') {
      waiting.push(log.roll());
    } else {
      await disk.some(step.count);
      disk.note(log.durableSequence);
      log.invariants();
    }
  }
  await disk.run(Promise.all(waiting));
  disk.note(await disk.run(log.flush()));
  expect(log.durableSequence).toBe(next);
  await disk.run(log.close());
  expect(disk.openFiles).toBe(0);
  return appended;
}

/** Opens the log on a disk and compares all of it with what was appended; gives how far it goes. */
async function check(
  disk: SimulatedDisk,
  appended: readonly Appended[],
  options: LogOptions,
): Promise<number> {
  const log = await disk.run(Log.open(disk, options));
  log.invariants();
  const found = await disk.run(readAll(log, log.firstSequence));
  let next = log.firstSequence;
  const from = appended.findIndex((batch) => batch.sequence === next);
  expect(from >= 0 || found.length === 0).toBe(true);
  found.forEach((batch, i) => {
    const { sequence, records, size } = appended[from + i];
    expect(batch).toMatchObject({ sequence, records });
    expect(batch.payload.equals(payloadOf(sequence, size))).toBe(true);
    next = sequence + records;
  });
  expect(log.nextSequence).toBe(next);
  // The log goes on, and what is appended now is found.
  await disk.run(log.append(Buffer.from('after')));
  await disk.run(log.flush());
  const after = await disk.run(readAll(log, next));
  expect(after.map((batch) => batch.payload.toString())).toEqual(['after']);
  await disk.run(log.close());
  expect(disk.openFiles).toBe(0);
  expect(disk.memory.stats().liveBlocks).toBe(0);
  return next;
}

/** What the test was told to be durable by the time of an event. */
function promisedBy(disk: SimulatedDisk, cut: number): number {
  let promised = 0;
  for (const event of disk.events.slice(0, cut)) {
    if (event.kind === 'note') promised = Math.max(promised, event.value);
  }
  return promised;
}

function atRandom(seed: number): Choose {
  const random = randomOf(seed);
  return (count) => Math.floor(random() * count);
}

async function readAll(
  log: Log,
  from: number,
): Promise<{ sequence: number; records: number; payload: Buffer }[]> {
  const batches = [];
  for await (const batch of log.read(from)) batches.push(batch);
  return batches;
}

describe('Log on a disk that loses power', () => {
  it('has everything after a clean close', async () => {
    await fc.assert(
      fc.asyncProperty(fc.nat(), fc.array(action, { maxLength: 60, size: 'max' }), async (seed, actions) => {
        const disk = new SimulatedDisk(randomOf(seed));
        const appended = await write(disk, actions, OPTIONS);
        const last = appended[appended.length - 1];
        expect(await check(disk, appended, OPTIONS)).toBe(
          last === undefined ? 0 : last.sequence + last.records,
        );
      }),
      { numRuns: 40 },
    );
  });

  it.each([
    ['that keeps all', 0],
    ['whose oldest segments go and are written again', 70_000],
  ])(
    'has what was flushed, and a valid prefix of the rest, wherever the trace is cut, in a log %s',
    async (_name, retentionBytes) => {
      const options: LogOptions = { ...OPTIONS, retentionBytes };
      await fc.assert(
        fc.asyncProperty(
          fc.nat(),
          fc.array(action, { minLength: 5, maxLength: 30, size: 'max' }),
          async (seed, actions) => {
            const disk = new SimulatedDisk(randomOf(seed));
            const appended = await write(disk, actions, options);
            for (let cut = 0; cut <= disk.events.length; cut++) {
              const promised = promisedBy(disk, cut);
              const survived = disk.afterPowerCut(cut, atRandom(seed + cut + 1));
              expect(await check(survived, appended, options)).toBeGreaterThanOrEqual(promised);
            }
          },
        ),
        { numRuns: 5 },
      );
    },
    60_000,
  );

  it('has it in every state that a power cut of a small trace could leave, at random where there are too many', async () => {
    const actions: Action[] = [
      { kind: 'append', size: 100, records: 1 },
      { kind: 'flush' },
      { kind: 'complete', count: 3 },
      { kind: 'append', size: 5000, records: 2 },
      { kind: 'append', size: 300, records: 1 },
      { kind: 'complete', count: 6 },
      { kind: 'flush' },
      { kind: 'append', size: 9000, records: 1 },
      { kind: 'complete', count: 8 },
      { kind: 'append', size: 6000, records: 1 },
      { kind: 'roll' },
      // Often asked what is durable: what the next segment claims must not come before the end of this one.
      ...Array.from({ length: 12 }, () => ({ kind: 'complete' as const, count: 2 })),
      { kind: 'append', size: 200, records: 3 },
      { kind: 'complete', count: 10 },
      { kind: 'append', size: 2000, records: 1 },
    ];
    // The second roll finds the file of the first segment, where the oldest ones go.
    const rolls: Action[] = [
      { kind: 'complete', count: 10 },
      { kind: 'roll' },
      ...Array.from({ length: 12 }, () => ({ kind: 'complete' as const, count: 2 })),
      { kind: 'append', size: 60, records: 1 },
      { kind: 'flush' },
    ];
    let complete = 0;
    let cuts = 0;
    for (const [seed, retentionBytes] of [
      [1, 0],
      [2, 0],
      [3, 1],
    ]) {
      const options: LogOptions = {
        ...OPTIONS,
        retentionBytes,
        appender: { ...OPTIONS.appender, zeroAheadBytes: 0 },
      };
      const disk = new SimulatedDisk(randomOf(seed));
      const appended = await write(disk, retentionBytes > 0 ? [...actions, ...rolls] : actions, options);
      for (let cut = 0; cut <= disk.events.length; cut++) {
        const promised = promisedBy(disk, cut);
        const survives = async (choose: Choose): Promise<void> => {
          const survived = disk.afterPowerCut(cut, choose, PAGE_BYTES);
          expect(await check(survived, appended, options)).toBeGreaterThanOrEqual(promised);
        };
        const all = new AllChoices();
        await survives(all.choose);
        cuts++;
        if (all.total <= MAX_STATES) {
          complete++;
          while (all.next()) await survives(all.choose);
        } else {
          for (let i = 0; i < SAMPLES; i++) await survives(atRandom(seed * 1000 + cut + i));
        }
      }
    }
    // Otherwise the trace is too large to tell anything.
    expect(complete).toBeGreaterThan(cuts / 2);
  }, 60_000);

  it('never takes bytes of a former life of a segment for its own', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.nat(),
        fc.array(action, { minLength: 20, maxLength: 60, size: 'max' }),
        async (seed, actions) => {
          const options: LogOptions = { ...OPTIONS, retentionBytes: 70_000 };
          const disk = new SimulatedDisk(randomOf(seed));
          const appended = await write(disk, actions, options);
          const random = randomOf(seed + 1);
          for (let i = 0; i < 20; i++) {
            const cut = Math.floor(random() * (disk.events.length + 1));
            const promised = promisedBy(disk, cut);
            const survived = disk.afterPowerCut(cut, atRandom(seed + cut + 1));
            expect(await check(survived, appended, options)).toBeGreaterThanOrEqual(promised);
          }
        },
      ),
      { numRuns: 8 },
    );
  }, 60_000);

  it('settles promises before anything else does', async () => {
    const disk = new SimulatedDisk(randomOf(1));
    const log = await disk.run(Log.open(disk, OPTIONS));
    const appended = log.append(Buffer.from('x'));
    await settle();
    expect(await appended).toBe(0);
    await disk.run(log.close());
    await expect(log.append(Buffer.from('y'))).rejects.toMatchObject({ code: 'SUNSTAR_LOG_CLOSED' });
    await expect(log.flush()).rejects.toMatchObject({ code: 'SUNSTAR_LOG_CLOSED' });
  });
});
