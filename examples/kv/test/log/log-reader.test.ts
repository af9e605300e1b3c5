import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { LogReader, type ReplayResult } from '../../src/log/log-reader.ts';
import { FRAME_BYTES, HEADER_BYTES } from '../../src/log/record.ts';
import {
  CollectingSink,
  encodeFile,
  type Operation,
  operationArbitrary,
  recordArbitrary,
  sourceOf,
  testMemory,
} from './support.ts';

const memory = testMemory();

async function replay(content: Buffer): Promise<ReplayResult & { operations: Operation[] }> {
  const sink = new CollectingSink(memory);
  const before = memory.stats().freeBytes;
  const result = await new LogReader(memory, sourceOf(memory, content)).replay(sink);
  expect(memory.stats().freeBytes).toBe(before);
  return { ...result, operations: sink.operations };
}

const fileArbitrary = fc.array(recordArbitrary, { maxLength: 20 });

describe('LogReader', () => {
  it('delivers all records of a whole file', async () => {
    await fc.assert(
      fc.asyncProperty(fileArbitrary, fc.boolean(), async (records, isSealed) => {
        const seal: Operation = { type: 'seal', records: records.length };
        const { bytes } = encodeFile(isSealed ? [...records, [seal]] : records);
        expect(await replay(bytes)).toMatchObject({
          operations: records.flat(),
          records: records.length,
          validBytes: bytes.length,
          droppedBytes: 0,
          isSealed,
          header: { number: 1, epoch: 1 },
        });
      }),
      { numRuns: 100 },
    );
  });

  it('delivers exactly the whole records of a prefix', async () => {
    await fc.assert(
      fc.asyncProperty(fileArbitrary, fc.nat(), async (records, cut) => {
        const { bytes, ends } = encodeFile(records);
        const length = cut % (bytes.length + 1);
        const result = await replay(bytes.subarray(0, length));
        const whole = ends.filter((end) => end <= length).length - 1;
        expect(result.operations).toEqual(records.slice(0, Math.max(0, whole)).flat());
        expect(result.validBytes).toBe(whole < 0 ? 0 : ends[whole]);
        expect(result.header === undefined).toBe(whole < 0);
      }),
      { numRuns: 300 },
    );
  });

  it('stops at the record in which a bit has flipped', async () => {
    await fc.assert(
      fc.asyncProperty(fileArbitrary, fc.nat(), async (records, position) => {
        const { bytes, ends } = encodeFile(records);
        const bit = position % (bytes.length * 8);
        bytes[bit >>> 3] ^= 1 << (bit & 7);
        const result = await replay(bytes);
        const whole = ends.filter((end) => end <= bit >>> 3).length - 1;
        expect(result.operations).toEqual(records.slice(0, Math.max(0, whole)).flat());
        expect(result.isSealed).toBe(false);
        expect(result.droppedBytes).toBeGreaterThan(0);
      }),
      { numRuns: 300 },
    );
  });

  it('does not take what an earlier use of the file left behind, nor zeros, for records', async () => {
    await fc.assert(
      fc.asyncProperty(fileArbitrary, fileArbitrary, fc.nat(9000), async (records, older, zeros) => {
        const { bytes } = encodeFile(records, { nonce: 2 });
        // The old file had the same records in the same places, and more.
        const old = encodeFile([...records, ...older]).bytes;
        const content = Buffer.concat([bytes, old.subarray(bytes.length), Buffer.alloc(zeros)]);
        const result = await replay(content);
        expect(result.operations).toEqual(records.flat());
        const behind = content.subarray(bytes.length);
        expect(result.droppedBytes).toBe(behind.findLastIndex((byte) => byte !== 0) + 1);
      }),
      { numRuns: 100 },
    );
  });

  it('does not deliver what follows a seal, nor accept a seal that has not counted right', async () => {
    const records: Operation[][] = [[{ type: 'delete', key: 'a' }], [{ type: 'delete', key: 'b' }]];
    const behind = encodeFile([records[0], [{ type: 'seal', records: 1 }], records[1]]).bytes;
    expect(await replay(behind)).toMatchObject({ operations: records[0], isSealed: true });
    const wrong = encodeFile([...records, [{ type: 'seal', records: 3 }]]).bytes;
    expect(await replay(wrong)).toMatchObject({ records: 2, isSealed: false });
  });

  it('reads records larger than its buffer, and ones that lie across its end', async () => {
    const large = 'x'.repeat(5_000_000);
    const records: Operation[][] = [];
    for (let i = 0; i < 2500; i++) {
      records.push([{ type: 'set', key: `key-${i}`, value: 'v'.repeat(400 + (i % 7)), expireAtMs: 0 }]);
    }
    const all: Operation[][] = [
      ...records,
      [{ type: 'set', key: 'large', value: large, expireAtMs: 0 }],
      ...records,
    ];
    expect((await replay(encodeFile(all).bytes)).operations).toEqual(all.flat());
  });

  it('spends no memory on an absurd length', async () => {
    const { bytes } = encodeFile([[{ type: 'delete', key: 'a' }]]);
    for (const length of [0, 0x7fffffff, 0xffffffff, 4096]) {
      const content = Buffer.from(bytes);
      content.writeUInt32LE(length, HEADER_BYTES + 4);
      expect(await replay(content)).toMatchObject({ records: 0, validBytes: HEADER_BYTES });
    }
  });

  it('applies nothing of a record that is malformed though its checksum is right', async () => {
    const operations = fc.sample(operationArbitrary, { numRuns: 5, seed: 7 });
    const { bytes } = encodeFile([operations, [{ type: 'seal', records: 0 }, { type: 'flush' }]]);
    const result = await replay(bytes);
    expect(result.operations).toEqual(operations);
    expect(result.droppedBytes).toBe(FRAME_BYTES + 10);
  });
});
