import { type Completion, heapArena, ShardMemory } from '@sunstar/runtime';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type ReadSource, StreamReader } from '../../src/streams/stream-reader.js';
import { EIO, randomOf, settle } from '../appender/manual-target.js';

interface ParkedRead {
  readonly completion: Completion;
  readonly position: number;
  readonly memoryOffset: number;
  readonly length: number;
}

/** A file whose reads complete when the test says so, in any order. */
class ManualSource implements ReadSource {
  readonly memory: ShardMemory = new ShardMemory(heapArena(4 << 20));
  readonly path = 'manual';
  readonly memoryAlignmentBytes = 512;
  readonly offsetAlignmentBytes = 512;
  readonly parked: ParkedRead[] = [];
  content: Buffer;
  deepest = 0;

  constructor(content: Buffer) {
    this.content = content;
  }

  submitRead(completion: Completion, position: number, memoryOffset: number, length: number): void {
    expect([position % 512, memoryOffset % 512, length % 512]).toEqual([0, 0, 0]);
    this.parked.push({ completion, position, memoryOffset, length });
    this.deepest = Math.max(this.deepest, this.parked.length);
  }

  complete(index: number, error = 0): void {
    const [{ completion, position, memoryOffset, length }] = this.parked.splice(index, 1);
    const count = Math.max(0, Math.min(length, this.content.length - position));
    this.memory.bytes.fill(0xee, memoryOffset, memoryOffset + length);
    if (error === 0 && count > 0)
      this.content.copy(this.memory.bytes, memoryOffset, position, position + count);
    completion.complete(error === 0 ? count : error, 0);
  }

  async run<T>(promise: Promise<T>, random: () => number, failures = 0): Promise<T> {
    let isSettled = false;
    const done = (): void => {
      isSettled = true;
    };
    promise.then(done, done);
    for (let i = 0; i < 2000; i++) {
      await settle();
      if (isSettled) return promise;
      if (this.parked.length === 0) throw new Error('stuck');
      const error = random() < failures ? EIO : 0;
      this.complete(Math.floor(random() * this.parked.length), error);
    }
    throw new Error('the promise does not settle');
  }
}

const CONTENT = Buffer.from(
  Uint8Array.from({ length: 200_000 }, (_, i) => Math.imul(i + 1, 2654435761) >>> 19),
);

describe('StreamReader', () => {
  it('gives the bytes of the file in order, whatever completes when and however they are taken', async () => {
    const take = fc.oneof(
      fc.record({
        kind: fc.constantFrom('read' as const, 'exactly' as const, 'skip' as const),
        size: fc.nat(30_000),
      }),
      fc.record({ kind: fc.constant('all' as const), size: fc.constant(0) }),
    );
    await fc.assert(
      fc.asyncProperty(
        fc.record({
          size: fc.oneof(fc.nat(200_000), fc.constantFrom(0, 4096, 8192, 131_072)),
          start: fc.nat(60_000),
          length: fc.oneof(fc.constant(Number.POSITIVE_INFINITY), fc.nat(200_000)),
          bufferBytes: fc.constantFrom(4096, 8192, 131_072),
          maxReadAhead: fc.integer({ min: 1, max: 8 }),
          seed: fc.nat(),
          failures: fc.constantFrom(0, 0, 0.2),
        }),
        fc.array(take, { maxLength: 30 }),
        async ({ size, start, length, bufferBytes, maxReadAhead, seed, failures }, takes) => {
          const source = new ManualSource(CONTENT.subarray(0, size));
          const random = randomOf(seed);
          const end = Math.min(start + length, Number.MAX_SAFE_INTEGER);
          const reader = new StreamReader(source, { start, end, bufferBytes, maxReadAhead });
          const last = Math.max(start, Math.min(size, end));
          let at = start;
          for (const { kind, size: count } of takes) {
            try {
              if (kind === 'exactly') {
                using piece = await source.run(reader.readExactly(count), random, failures);
                expect(piece.toBuffer().equals(CONTENT.subarray(at, at + count))).toBe(true);
                expect(piece.sizeBytes).toBe(count);
                at += count;
              } else if (kind === 'skip') {
                const from = reader.position;
                at += await source.run(reader.skip(count), random, failures).finally(() => {
                  at = from;
                });
                expect(at).toBe(Math.min(last, from + count));
              } else {
                using piece = await source.run(
                  kind === 'all' ? reader.read() : reader.read(count),
                  random,
                  failures,
                );
                if (piece === null) expect(at).toBe(last);
                else {
                  expect(piece.toBuffer().equals(CONTENT.subarray(at, at + piece.sizeBytes))).toBe(true);
                  at += piece.sizeBytes;
                }
              }
            } catch (error) {
              if ((error as { code?: string }).code === 'SUNSTAR_END_OF_FILE') {
                expect(at + count).toBeGreaterThan(last);
              } else {
                expect(error).toMatchObject({ code: 'SUNSTAR_EIO' });
                at = reader.position;
              }
            }
            expect(reader.position).toBe(at);
            reader.invariants();
          }
          await source.run(reader.close(), random);
          expect(source.deepest).toBeLessThanOrEqual(maxReadAhead);
          expect(source.memory.stats().liveBlocks).toBe(0);
        },
      ),
      { numRuns: 150 },
    );
  });

  it('reads further ahead while its consumer waits, and less far when it does not', async () => {
    const source = new ManualSource(CONTENT);
    const reader = new StreamReader(source, { bufferBytes: 4096, maxReadAhead: 8 });
    const random = randomOf(3);
    for (let i = 0; i < 5; i++) (await source.run(reader.read(), random))?.[Symbol.dispose]();
    expect(reader.stats.readAhead).toBe(8);
    for (let i = 0; i < 40; i++) {
      while (source.parked.length > 0) source.complete(0);
      await settle();
      (await source.run(reader.read(), random))?.[Symbol.dispose]();
    }
    expect(reader.stats.readAhead).toBeLessThan(8);
    await source.run(reader.close(), random);
    await expect(reader.read()).rejects.toMatchObject({ code: 'SUNSTAR_STREAM_CLOSED' });
    expect(source.memory.stats().liveBlocks).toBe(0);
  });

  it('ends where a read came up short, though the file grows behind it meanwhile', async () => {
    const source = new ManualSource(CONTENT.subarray(0, 1000));
    const reader = new StreamReader(source, { bufferBytes: 4096, maxReadAhead: 2 });
    const first = reader.read();
    await settle();
    expect(source.parked).toHaveLength(2);
    source.complete(0);
    source.content = CONTENT;
    const random = randomOf(1);
    const piece = await source.run(first, random);
    expect(piece?.toBuffer().equals(CONTENT.subarray(0, 1000))).toBe(true);
    piece?.[Symbol.dispose]();
    // What comes next in the file is not what was read ahead.
    expect(await source.run(reader.read(), random)).toBeNull();
    await source.run(reader.close(), random);
    expect(source.memory.stats().liveBlocks).toBe(0);
  });

  it('refuses a second call while one is running, and ends one that waits when it is closed', async () => {
    const source = new ManualSource(CONTENT);
    const reader = new StreamReader(source);
    const first = reader.read();
    await expect(reader.read()).rejects.toMatchObject({ code: 'SUNSTAR_STREAM_BUSY' });
    const closing = reader.close();
    const closed = expect(first).rejects.toMatchObject({ code: 'SUNSTAR_STREAM_CLOSED' });
    await source.run(closing, randomOf(1));
    await closed;
    expect(source.memory.stats().liveBlocks).toBe(0);
  });
});
