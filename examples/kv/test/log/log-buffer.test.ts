import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { LogBuffer, type LogTarget } from '../../src/log/log-buffer.ts';
import { LogReader } from '../../src/log/log-reader.ts';
import { HEADER_BYTES, writeHeader } from '../../src/log/record.ts';
import { NEVER, NONE, Store } from '../../src/store/index.ts';
import { CollectingSink, encodeFile, type Operation, sourceOf, testMemory } from './support.ts';

const KEY_AT = 0;
const VALUE_AT = 256;

/** A store whose journal is a LogBuffer that writes to a file in memory. */
function setUp(memorySizeBytes: number) {
  const memory = testMemory(memorySizeBytes);
  const store = new Store(memory);
  const buffer = new LogBuffer(memory, store.entries);
  const header = encodeFile([]).bytes;
  buffer.seed = header.readUInt32LE(HEADER_BYTES - 4);
  store.journal = buffer;
  const scratch = memory.allocate(1024 * 1024);
  const pieces = [Buffer.from(header)];
  const target = {
    hasRoom: true as boolean,
    appendRange(offset: number, length: number): number {
      pieces.push(Buffer.from(memory.bytes.subarray(offset, offset + length)));
      return 0;
    },
  } satisfies LogTarget;

  const put = (at: number, text: string): number => memory.bytes.write(text, scratch + at, 'latin1');
  const locate = (key: string): number => store.find(scratch + KEY_AT, put(KEY_AT, key));
  return {
    memory,
    store,
    buffer,
    target,
    set(key: string, value: string, expireAtMs = NEVER): boolean {
      const keyLength = put(KEY_AT, key);
      return store.set(scratch + KEY_AT, keyLength, scratch + VALUE_AT, put(VALUE_AT, value), expireAtMs);
    },
    delete(key: string): void {
      const entry = locate(key);
      if (entry !== NONE) store.delete(entry);
    },
    async written(): Promise<Operation[][]> {
      const reader = testMemory();
      const sink = new CollectingSink(reader);
      const content = Buffer.concat(pieces);
      const result = await new LogReader(reader, sourceOf(reader, content)).replay(sink);
      expect(result.validBytes).toBe(content.length);
      return [sink.operations];
    },
  };
}

const FAR = 4_102_444_800_000;

describe('LogBuffer', () => {
  it('writes what the store reports, in order, whether staged, spilled or held back', async () => {
    const command = fc.record({
      sets: fc.array(
        fc.record({
          key: fc.constantFrom('a', 'b', 'c'),
          length: fc.oneof(fc.nat(100), fc.integer({ min: 60_000, max: 400_000 })),
          expireAtMs: fc.constantFrom(NEVER, FAR),
        }),
        { maxLength: 3 },
      ),
      deletes: fc.array(fc.constantFrom('a', 'b', 'c'), { maxLength: 2 }),
      hasRoom: fc.boolean(),
    });
    await fc.assert(
      fc.asyncProperty(fc.array(command, { maxLength: 25 }), async (commands) => {
        const { buffer, target, set, store, written, ...kv } = setUp(64 * 1024 * 1024);
        const model: Operation[] = [];
        const present = new Set<string>();
        let serial = 0;
        for (const { sets, deletes, hasRoom } of commands) {
          for (const { key, length, expireAtMs } of sets) {
            const value = `${serial++}`.padEnd(length, 'x');
            expect(set(key, value, expireAtMs)).toBe(true);
            model.push({ type: 'set', key, value, expireAtMs });
            present.add(key);
          }
          for (const key of deletes) {
            kv.delete(key);
            if (present.delete(key)) model.push({ type: 'delete', key });
          }
          buffer.endRecord();
          buffer.invariants();
          target.hasRoom = hasRoom;
          expect(buffer.drainTo(target)).toBe(buffer.heldBytes === 0);
          if (hasRoom) expect(buffer.heldBytes).toBe(0);
        }
        target.hasRoom = true;
        expect(buffer.drainTo(target)).toBe(true);
        expect((await written()).flat()).toEqual(model);
        store.invariants();
      }),
      { numRuns: 40 },
    );
  });

  it('makes one record of a command, and none of a command that changed nothing', () => {
    const { buffer, set, ...kv } = setUp(16 * 1024 * 1024);
    expect(buffer.endRecord()).toBe(0);
    set('a', '1');
    set('b', '2');
    kv.delete('a');
    // frame, two SETs, one DEL
    expect(buffer.endRecord()).toBe(8 + 2 * (9 + 2) + 5 + 1);
    expect(buffer.endRecord()).toBe(0);
    expect(buffer.admit(1000, 200_000)).toBe(true);
    expect(buffer.endRecord()).toBe(0);
    expect(buffer.admit(1000, 2_000_000)).toBe(true);
    expect(buffer.endRecord()).toBe(0);
    buffer.invariants();
  });

  it('refuses a command for which there is no memory, and loses nothing', async () => {
    const { buffer, target, memory, set, store, written } = setUp(4 * 1024 * 1024);
    target.hasRoom = false;
    const model: Operation[] = [];
    let refused = 0;
    for (let i = 0; i < 200; i++) {
      const value = `${i}`.padEnd(50_000, 'v');
      if (set(`key-${i % 5}`, value)) {
        model.push({ type: 'set', key: `key-${i % 5}`, value, expireAtMs: NEVER });
      } else refused++;
      buffer.endRecord();
      buffer.invariants();
    }
    expect(refused).toBeGreaterThan(0);
    store.invariants();
    target.hasRoom = true;
    expect(buffer.drainTo(target)).toBe(true);
    expect((await written()).flat()).toEqual(model);
    store.clear(true);
    buffer.endRecord();
    buffer.drainTo(target);
    memory.invariants();
  });

  it('keeps everything when the file throws', () => {
    const { buffer, target, set } = setUp(16 * 1024 * 1024);
    set('a', 'x'.repeat(300_000));
    buffer.endRecord();
    set('b', '1');
    buffer.endRecord();
    const held = buffer.heldBytes;
    const failing: LogTarget = {
      hasRoom: true,
      appendRange: () => {
        throw new RangeError('no');
      },
    };
    expect(() => buffer.drainTo(failing)).toThrow(RangeError);
    expect(buffer.heldBytes).toBe(held);
    expect(buffer.drainTo(target)).toBe(true);
  });

  it('begins every checksum with the seed of its file', async () => {
    const { buffer, target, set, written } = setUp(16 * 1024 * 1024);
    const other = Buffer.alloc(HEADER_BYTES);
    buffer.seed = writeHeader(other, 0, {
      kind: 1,
      shard: 0,
      shardCount: 1,
      epoch: 1,
      number: 2,
      createdAtMs: 0,
      nonce: 9,
    });
    set('a', '1');
    buffer.endRecord();
    buffer.drainTo(target);
    await expect(written()).rejects.toThrow();
  });
});
