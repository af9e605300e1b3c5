import { setImmediate as turn } from 'node:timers/promises';
import { IOBuf } from '@sunstar/iobuf';
import { heapArena, ShardMemory } from '@sunstar/runtime';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { DmaFile, type FileRange, type FileReadOptions, type RangeReader, readMany } from '../src/index.js';
import { scratch } from './support.js';

const { path } = scratch();

/** A file that answers when the test says so. */
class ParkedFile implements RangeReader {
  readonly memory = new ShardMemory(heapArena(4 << 20), { debug: false });
  readonly content = Buffer.from(Uint8Array.from({ length: 60_000 }, (_, i) => (i * 13) >>> 3));
  readonly reads: FileRange[] = [];
  readonly parked: { finish(error?: Error): void; signal: AbortSignal | undefined }[] = [];
  mostParked = 0;

  read(position: number, length: number, options?: FileReadOptions): Promise<IOBuf> {
    this.reads.push({ position, length });
    return new Promise((resolve, reject) => {
      const one = {
        signal: options?.signal,
        finish: (error?: Error): void => {
          this.parked.splice(this.parked.indexOf(one), 1);
          if (error !== undefined) reject(error);
          else resolve(IOBuf.from(this.content.subarray(position, position + length), this.memory));
        },
      };
      this.parked.push(one);
      this.mostParked = Math.max(this.mostParked, this.parked.length);
    });
  }
}

const rangesOf = fc.array(
  fc.record({ position: fc.integer({ min: 0, max: 62_000 }), length: fc.integer({ min: 0, max: 6000 }) }),
  { maxLength: 30 },
);

describe('readMany', () => {
  it('gives every range in order, whatever is merged and whichever read is done first, within its limits', async () => {
    await fc.assert(
      fc.asyncProperty(
        rangesOf,
        fc.boolean(),
        fc.constantFrom(0, 4096, 20_000),
        fc.constantFrom(0, 100, 4096),
        fc.integer({ min: 1, max: 5 }),
        fc.array(fc.nat(), { minLength: 1, maxLength: 8 }),
        fc.option(fc.nat({ max: 20 })),
        async (input, isSorted, maxMergedBytes, maxGapBytes, concurrency, order, stopAfter) => {
          const ranges = isSorted ? input.toSorted((a, b) => a.position - b.position) : input;
          const file = new ParkedFile();
          let isOver = false;
          const consume = async (): Promise<number> => {
            let index = 0;
            for await (const one of readMany(file, ranges, { maxMergedBytes, maxGapBytes, concurrency })) {
              const { position, length } = ranges[index];
              expect(one).toMatchObject({ index, position, length });
              const expected = file.content.subarray(position, position + length);
              expect(one.content.toBuffer().equals(expected)).toBe(true);
              one.content[Symbol.dispose]();
              index++;
              if (stopAfter !== null && index > stopAfter) break;
            }
            return index;
          };
          const consuming = consume().finally(() => {
            isOver = true;
          });
          for (let i = 0; !isOver; i++) {
            await turn();
            if (file.parked.length > 0) file.parked[order[i % order.length] % file.parked.length].finish();
          }
          const count = await consuming;
          expect(count).toBe(Math.min(ranges.length, (stopAfter ?? Number.POSITIVE_INFINITY) + 1));
          expect(file.mostParked).toBeLessThanOrEqual(concurrency);
          expect(file.memory.stats().liveBlocks).toBe(0);
          let asked = 0;
          for (const one of ranges) asked += one.length;
          const read = file.reads.reduce((sum, one) => sum + one.length, 0);
          expect(read).toBeLessThanOrEqual(asked + maxGapBytes * ranges.length);
          for (const one of file.reads) {
            const isSingle = ranges.some(
              (each) => each.position === one.position && each.length === one.length,
            );
            expect(isSingle || one.length <= maxMergedBytes).toBe(true);
          }
        },
      ),
      { numRuns: 150 },
    );
  });

  it('merges neighbours, reads nothing twice, and stops at an error', async () => {
    const file = new ParkedFile();
    const sorted = Array.from({ length: 20 }, (_, i) => ({ position: i * 200, length: 150 }));
    const all = readMany(file, sorted);
    const first = all.next();
    await turn();
    expect(file.reads).toEqual([{ position: 0, length: 3950 }]);
    file.parked[0].finish();
    (await first).value?.content[Symbol.dispose]();
    await all.return();
    const failing = readMany(file, [
      { position: 0, length: 1 },
      { position: 50_000, length: 1 },
      { position: 10, length: 1 },
    ]);
    const answer = failing.next();
    await turn();
    expect(file.parked).toHaveLength(3);
    file.parked[2].finish();
    const [one, two] = file.parked;
    one.finish(new Error('unreadable'));
    await turn();
    // What is still waiting for its turn is called back.
    expect(two.signal?.aborted).toBe(true);
    two.finish();
    await expect(answer).rejects.toThrow('unreadable');
    expect(file.memory.stats().liveBlocks).toBe(0);
    await expect(readMany(file, [{ position: -1, length: 1 }]).next()).rejects.toMatchObject({
      code: 'SUNSTAR_OUT_OF_RANGE',
    });
    await expect(readMany(file, [], { concurrency: 0 }).next()).rejects.toMatchObject({
      code: 'SUNSTAR_INVALID_OPTION',
    });
  });

  it('reads a real file', async () => {
    await using file = await DmaFile.open(path('many'), { flags: 'w+' });
    const bytes = Buffer.from(Uint8Array.from({ length: 200 * 1024 }, (_, i) => (i * 7) >>> 4));
    await file.write(0, bytes);
    const ranges = [
      [0, 10],
      [100, 5000],
      [190_000, 50_000],
      [3, 3],
    ].map(([position, length]) => ({ position, length }));
    const asyncRanges = async function* (): AsyncGenerator<FileRange> {
      for (const range of ranges) yield await Promise.resolve(range);
    };
    for (const input of [ranges, asyncRanges()]) {
      let index = 0;
      for await (const { content, position, length } of file.readMany(input)) {
        expect({ position, length }).toEqual(ranges[index++]);
        expect(content.toBuffer().equals(bytes.subarray(position, position + length))).toBe(true);
        content[Symbol.dispose]();
      }
      expect(index).toBe(4);
    }
  });
});
