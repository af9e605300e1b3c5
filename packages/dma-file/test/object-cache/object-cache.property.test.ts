import { setImmediate as turn } from 'node:timers/promises';
import { IOBuf } from '@sunstar/iobuf';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Pin } from '../../src/index.js';
import type { ManualFile } from './manual-file.js';
import { bytesOf, KIB, PLACES, SLOT, setUp } from './set-up.js';

/** Whether a file has these bytes in a slot, as far as the file goes. */
function holds(file: ManualFile, slot: number, bytes: Buffer): boolean {
  const at = slot * SLOT;
  const there = file.content.subarray(at, at + bytes.length);
  return there.equals(bytes.subarray(0, there.length));
}

/** What the model knows of an object that the cache must have, or may have let go. */
interface Known {
  bytes: Buffer;
  isDirty: boolean;
}

const place = { file: fc.nat({ max: 1 }), slot: fc.nat({ max: PLACES - 1 }) };
const step = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.record({
      do: fc.constant('put' as const),
      ...place,
      sizeBytes: fc.integer({ min: 1, max: SLOT }),
      dirty: fc.boolean(),
    }),
  },
  {
    weight: 4,
    arbitrary: fc.record({
      do: fc.constant('read' as const),
      ...place,
      length: fc.integer({ min: 1, max: SLOT }),
    }),
  },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('get' as const), ...place }) },
  {
    weight: 4,
    arbitrary: fc.record({
      do: fc.constant('complete' as const),
      index: fc.nat(),
      fails: fc.integer({ min: 0, max: 5 }),
    }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('pin' as const), ...place }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('unpin' as const), index: fc.nat() }) },
  {
    weight: 1,
    arbitrary: fc.record({
      do: fc.constant('invalidate' as const),
      ...place,
      count: fc.integer({ min: 1, max: 4 }),
    }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('flush' as const) }) },
  {
    weight: 1,
    arbitrary: fc.record({ do: fc.constant('pressure' as const), kib: fc.integer({ min: 1, max: 200 }) }),
  },
);

describe('ObjectCache', () => {
  it('never shows anything but the newest object, loses nothing dirty, and keeps its limits', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 60 }), async (steps) => {
        const { memory, cache, files } = setUp({ maxEntries: 12 });
        // What the application holds to be the truth at each place it has put to; else it is the file's.
        const truth = new Map<string, Known>();
        const pins: { key: string; pin: Pin }[] = [];
        const pending: Promise<unknown>[] = [];
        let seed = 0;
        const keyOf = (file: number, slot: number): string => `${file}:${slot}`;
        for (const one of steps) {
          if (one.do === 'put') {
            const key = keyOf(one.file, one.slot);
            const bytes = Buffer.alloc(one.sizeBytes, ++seed);
            using content = IOBuf.from(bytes, memory);
            const before = truth.get(key);
            try {
              const kept = cache.put(files[one.file], one.slot * SLOT, content, { dirty: one.dirty });
              // A clean object is in the file already.
              if (kept && !one.dirty) bytes.copy(files[one.file].content, one.slot * SLOT);
              if (kept) truth.set(key, { bytes, isDirty: one.dirty });
              if (!kept)
                expect(cache.get(files[one.file], one.slot * SLOT)?.[Symbol.dispose]()).toBeUndefined();
            } catch (error) {
              expect((error as { code: string }).code).toBe('SUNSTAR_CACHE_FULL');
              expect(one.dirty).toBe(true);
              if (before !== undefined) truth.set(key, before);
            }
          } else if (one.do === 'read') {
            const reading = cache.read(files[one.file], one.slot * SLOT, one.length).then(
              (content) => {
                expect(content.sizeBytes).toBeLessThanOrEqual(one.length);
                content[Symbol.dispose]();
              },
              (error: unknown) => expect(error).toMatchObject({ message: 'injected' }),
            );
            pending.push(reading);
          } else if (one.do === 'get') {
            const content = cache.get(files[one.file], one.slot * SLOT);
            const known = truth.get(keyOf(one.file, one.slot));
            if (content !== undefined) {
              const bytes = bytesOf(content);
              // What a longer read has brought may go on behind it.
              const count = Math.min(bytes.length, known?.bytes.length ?? 0);
              if (known !== undefined)
                expect(bytes.subarray(0, count).equals(known.bytes.subarray(0, count))).toBe(true);
            }
          } else if (one.do === 'complete') {
            const parked = files.flatMap((file) => file.parked);
            if (parked.length > 0)
              parked[one.index % parked.length].finish(one.fails === 0 ? new Error('injected') : null);
            await turn();
          } else if (one.do === 'pin') {
            const key = keyOf(one.file, one.slot);
            if (cache.has(files[one.file], one.slot * SLOT))
              pins.push({ key, pin: cache.pin(files[one.file], one.slot * SLOT) });
            else expect(() => cache.pin(files[one.file], one.slot * SLOT)).toThrow(/no object/);
          } else if (one.do === 'unpin' && pins.length > 0) {
            const [{ pin }] = pins.splice(one.index % pins.length, 1);
            pin[Symbol.dispose]();
            pin[Symbol.dispose]();
          } else if (one.do === 'invalidate') {
            cache.invalidate(files[one.file], one.slot * SLOT, (one.slot + one.count) * SLOT);
            for (let slot = one.slot; slot < one.slot + one.count; slot++) {
              truth.delete(keyOf(one.file, slot));
              expect(cache.has(files[one.file], slot * SLOT)).toBe(false);
              for (let i = pins.length - 1; i >= 0; i--) {
                // Forgotten objects take their pins along; releasing one must not release another.
                if (pins[i].key === keyOf(one.file, slot)) pins.splice(i, 1)[0].pin[Symbol.dispose]();
              }
            }
          } else if (one.do === 'flush') {
            pending.push(
              cache.flush().catch((error: unknown) => expect(error).toMatchObject({ message: 'injected' })),
            );
          } else if (one.do === 'pressure') {
            const block = memory.tryAllocate(one.kib * KIB);
            if (block >= 0) memory.free(block);
          }
          cache.invariants();
          for (const { key } of pins) {
            const [file, slot] = key.split(':').map(Number);
            expect(cache.has(files[file], slot * SLOT), 'pinned objects stay').toBe(true);
          }
          for (const [key, known] of truth) {
            const [file, slot] = key.split(':').map(Number);
            if (known.isDirty && cache.stats.dirtyEntries > 0) continue;
            if (known.isDirty)
              expect(holds(files[file], slot, known.bytes), `object ${key} is written`).toBe(true);
          }
        }
        for (const { pin } of pins) pin[Symbol.dispose]();
        for (let round = 0; round < 200; round++) {
          for (const one of files.flatMap((file) => file.parked)) one.finish(null);
          await turn();
          if (round === 3) pending.push(cache.close());
          if (round > 3 && files.every((file) => file.parked.length === 0)) break;
        }
        await Promise.all(pending);
        for (const [key, known] of truth) {
          const [file, slot] = key.split(':').map(Number);
          expect(holds(files[file], slot, known.bytes), `object ${key}`).toBe(true);
        }
        expect(memory.stats().liveBlocks).toBe(0);
      }),
      { numRuns: 80 },
    );
  });
});
