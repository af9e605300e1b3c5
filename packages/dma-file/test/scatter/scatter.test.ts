import { IOBuf } from '@sunstar/iobuf';
import { ERRNO } from '@sunstar/runtime';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { DmaFile, ScatterError } from '../../src/index.js';
import type { ScatterBatch } from '../../src/scatter/scatter-batch.js';
import { writeScattered } from '../../src/scatter/write-scattered.js';
import { type ManualRing, manualRange } from '../manual-ring.js';
import { scratch } from '../support.js';

const { path, shard } = scratch();
const SECTOR = 512;

function pattern(length: number): Buffer {
  return Buffer.from(Uint8Array.from({ length }, (_, i) => Math.imul(i + 7, 2654435761) >>> 19));
}

/** The same bytes in fragments of given sizes, in multiples of a sector or not. */
function fragmented(ring: ManualRing, bytes: Buffer, sizes: readonly number[]): IOBuf {
  const content = new IOBuf(ring.memory);
  for (let at = 0, i = 0; at < bytes.length; i++) {
    const length = Math.min(sizes[i % sizes.length], bytes.length - at);
    const offset = ring.memory.allocateAligned(length, SECTOR);
    bytes.copy(ring.memory.bytes, offset, at, at + length);
    content.adopt(offset, length, 0, length);
    at += length;
  }
  return content;
}

const cases = fc.record({
  sectors: fc.integer({ min: 1, max: 300 }),
  pageSectors: fc.integer({ min: 1, max: 16 }),
  mergePages: fc.integer({ min: 1, max: 16 }),
  depth: fc.integer({ min: 1, max: 40 }),
  fragments: fc.array(fc.oneof(fc.constantFrom(4096, 8192, 65_536), fc.integer({ min: 400, max: 9000 })), {
    minLength: 1,
    maxLength: 5,
  }),
  order: fc.array(fc.nat(), { minLength: 1, maxLength: 20 }),
  failEvery: fc.integer({ min: 0, max: 6 }),
});

describe('a scattered write', () => {
  it('is done when all pages are, in any order, and says which have failed', async () => {
    await fc.assert(
      fc.asyncProperty(
        cases,
        async ({ sectors, pageSectors, mergePages, depth, fragments, order, failEvery }) => {
          const { ring, target } = manualRange(depth);
          const bytes = pattern(sectors * SECTOR);
          const pageBytes = pageSectors * SECTOR;
          const mergeBytes = Math.min(mergePages, Math.floor(131_072 / pageBytes)) * pageBytes;
          const data = fragmented(ring, bytes, fragments);
          const batch: ScatterBatch = writeScattered(target, 2 * SECTOR, data, { pageBytes, mergeBytes });
          // The batch holds on to what it writes.
          data[Symbol.dispose]();
          const pages = Array.from({ length: batch.pageCount }, (_, i) =>
            batch.page(i).then(
              () => true,
              () => false,
            ),
          );
          const done = batch.done.then(
            () => null,
            (error: unknown) => error as ScatterError,
          );
          const isBad = new Uint8Array(batch.pageCount);
          const sent: [from: number, to: number][] = [];
          for (let step = 0; ring.parked.length > 0; step++) {
            batch.invariants();
            expect(ring.parked.length).toBeLessThanOrEqual(depth);
            const index = order[step % order.length] % ring.parked.length;
            const submission = ring.parked[index];
            const from = submission.offset - 2 * SECTOR;
            const to = from + ring.sizeOf(submission);
            expect(to - from).toBeLessThanOrEqual(mergeBytes);
            expect((to - from) % SECTOR).toBe(0);
            for (const [otherFrom, otherTo] of sent) expect(to <= otherFrom || from >= otherTo).toBe(true);
            sent.push([from, to]);
            const fails = failEvery > 0 && step % failEvery === failEvery - 1;
            if (fails) isBad.fill(1, Math.floor(from / pageBytes), Math.ceil(to / pageBytes));
            ring.complete(index, fails ? -ERRNO.EIO : 0, Number.POSITIVE_INFINITY);
          }
          batch.invariants();
          expect(batch.settledPages).toBe(batch.pageCount);
          expect(await Promise.all(pages)).toEqual(Array.from(isBad, (bad) => bad === 0));
          const failed = Array.from(isBad.keys()).filter((index) => isBad[index] === 1);
          const error = await done;
          if (failed.length === 0) {
            expect(error).toBeNull();
            expect(await batch.done).toBe(bytes.length);
            expect(ring.file.subarray(2 * SECTOR).equals(bytes)).toBe(true);
          } else {
            expect(error).toBeInstanceOf(ScatterError);
            expect(error?.failedPages).toEqual(failed);
            expect(error?.cause).toMatchObject({ code: 'SUNSTAR_EIO' });
          }
          for (const [index, bad] of isBad.entries()) {
            if (bad === 1) {
              await expect(batch.page(index)).rejects.toMatchObject({ code: 'SUNSTAR_EIO' });
              continue;
            }
            await batch.page(index);
            expect(batch.isWritten(index)).toBe(true);
            const [from, to] = [index * pageBytes, Math.min((index + 1) * pageBytes, bytes.length)];
            expect(
              ring.file.subarray(2 * SECTOR + from, 2 * SECTOR + to).equals(bytes.subarray(from, to)),
            ).toBe(true);
          }
          expect(ring.memory.stats().liveBlocks).toBe(0);
        },
      ),
      { numRuns: 60 },
    );
  });

  it('sends all pages at once, and merges neighbours when it may', () => {
    const bytes = pattern(64 * SECTOR);
    for (const [pageBytes, mergeBytes, writes] of [
      [SECTOR, SECTOR, 64],
      [SECTOR, 16 * SECTOR, 4],
      [4 * SECTOR, 4 * SECTOR, 16],
      [4096, 131_072, 1],
    ]) {
      const { ring, target } = manualRange(100);
      const batch = writeScattered(target, 0, bytes, { pageBytes, mergeBytes });
      expect(ring.parked).toHaveLength(writes);
      while (ring.parked.length > 0) ring.complete(ring.parked.length - 1, 0, 1e9);
      expect(batch.settledPages).toBe(batch.pageCount);
    }
  });

  it('leaves out what was still waiting when its signal is aborted', async () => {
    const { ring, target } = manualRange(2);
    const controller = new AbortController();
    const batch = writeScattered(target, 0, pattern(8 * SECTOR), {
      pageBytes: SECTOR,
      mergeBytes: SECTOR,
      signal: controller.signal,
    });
    const done = batch.done.catch((error: unknown) => error as ScatterError);
    ring.complete(1, 0, 1e9);
    controller.abort();
    while (ring.parked.length > 0) ring.complete(0, 0, 1e9);
    expect(await done).toMatchObject({ failedPages: [3, 4, 5, 6, 7], cause: { code: 'SUNSTAR_ABORTED' } });
  });

  it('checks its arguments', async () => {
    const { target } = manualRange(2);
    const data = pattern(SECTOR);
    for (const options of [
      { pageBytes: 0 },
      { pageBytes: 100 },
      { pageBytes: 1024, mergeBytes: 512 },
      { mergeBytes: 262_144 },
    ]) {
      expect(() => writeScattered(target, 0, data, options)).toThrow(/multiple of/);
    }
    const empty = writeScattered(target, 0, Buffer.alloc(0), {});
    expect(empty.pageCount).toBe(0);
    expect(await empty.done).toBe(0);
    await expect(empty.page(0)).rejects.toMatchObject({ code: 'SUNSTAR_OUT_OF_RANGE' });
  });

  it('reaches a real file', async () => {
    await using file = await DmaFile.open(path('scattered'), { flags: 'w+' });
    const bytes = pattern(40 * 4096);
    for (const mergeBytes of [4096, 131_072]) {
      const batch = file.writeScattered(8192, bytes, { mergeBytes });
      expect(batch.pageCount).toBe(40);
      await Promise.all([batch.page(39), batch.page(0)]);
      expect(await batch.done).toBe(bytes.length);
      using content = await file.read(8192, bytes.length);
      expect(content.toBuffer().equals(bytes)).toBe(true);
    }
    expect(() => file.writeScattered(1, bytes)).toThrow(/multiple/);
    expect(shard.memory.stats().liveBlocks).toBeGreaterThanOrEqual(0);
  });
});
