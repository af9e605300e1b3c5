import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { IOBuf, type Placeholder } from '../src/index.js';
import { debugMemory, expectCode, pattern, runs } from './support.js';

const memory = debugMemory();

test('example: a length in front of a message of unknown size', () => {
  using message = new IOBuf(memory);
  const length = message.placeholder(4);
  expect(message.sizeBytes).toBe(4);
  message.append('payload');
  length.setU32BE(message.sizeBytes - 4);
  expect(message.toString('latin1')).toBe('\0\0\0\u0007payload');
});

test('every setter writes where it says', () => {
  using buffer = IOBuf.from('>', memory);
  const hole = buffer.placeholder(16);
  const expected = Buffer.alloc(16);
  const check = (): void => expect(buffer.toBuffer().subarray(1)).toEqual(expected);
  check();
  hole.write('é!', 13);
  expected.write('é!', 13);
  check();
  hole.write(Uint8Array.of(1, 2, 3));
  expected.set([1, 2, 3]);
  check();
  hole.setU8(255, 15);
  expected.writeUInt8(255, 15);
  hole.setU16LE(0x1234, 1);
  expected.writeUInt16LE(0x1234, 1);
  check();
  hole.setU16BE(0x1234, 3);
  expected.writeUInt16BE(0x1234, 3);
  hole.setU32LE(0xfffffffe, 5);
  expected.writeUInt32LE(0xfffffffe, 5);
  check();
  hole.setU32BE(0xfffffffe, 9);
  expected.writeUInt32BE(0xfffffffe, 9);
  hole.setI32LE(-5, 0);
  expected.writeInt32LE(-5, 0);
  check();
  hole.setI32BE(-6, 12);
  expected.writeInt32BE(-6, 12);
  check();
  hole.setU64LE(Number.MAX_SAFE_INTEGER, 0);
  expected.writeBigUInt64LE(BigInt(Number.MAX_SAFE_INTEGER), 0);
  hole.setU64BE(2 ** 40 + 7, 8);
  expected.writeBigUInt64BE(2n ** 40n + 7n, 8);
  check();
});

describe('bad input', () => {
  test('out of range', () => {
    using buffer = new IOBuf(memory);
    const hole = buffer.placeholder(4);
    for (const call of [
      () => hole.setU32LE(1, 1),
      () => hole.setU8(1, 4),
      () => hole.setU8(1, -1),
      () => hole.setU8(1, 0.5),
      () => hole.setU8(256),
      () => hole.setU16BE(-1),
      () => hole.setI32LE(2 ** 31),
      () => hole.setU64LE(1),
      () => hole.setU64LE(2 ** 53),
      () => hole.write('12345'),
      () => hole.write('1', 4),
    ]) {
      expectCode(call, 'SUNSTAR_OUT_OF_RANGE');
    }
    expectCode(() => hole.write(5 as unknown as string), 'SUNSTAR_INVALID_ARGUMENT');
    hole.write('', 4);
    expect([...buffer]).toEqual([0, 0, 0, 0]);
  });

  test('after dispose', () => {
    const buffer = new IOBuf(memory);
    const hole = buffer.placeholder(4);
    buffer[Symbol.dispose]();
    expectCode(() => hole.setU8(1), 'SUNSTAR_IOBUF_DISPOSED');
  });
});

test('a placeholder that was trimmed away never writes into what took its place', () => {
  const buffer = IOBuf.from('abc', memory);
  const hole = buffer.placeholder(3);
  buffer.trimBack(4);
  buffer.append('XYZ12345');
  hole.write('!!!');
  expect(buffer.toString()).toBe('abXYZ12345');
  buffer.clear();
  using other = IOBuf.from(pattern(500), memory);
  hole.write('???');
  expect(other.equals(pattern(500))).toBe(true);
  buffer[Symbol.dispose]();
});

test('linking behind a trimmed placeholder keeps its memory', () => {
  using buffer = IOBuf.from(pattern(50000), memory);
  const hole = buffer.placeholder(4);
  buffer.trimBack(45000);
  using other = IOBuf.from('x', memory);
  buffer.link(other);
  using filler = IOBuf.from(new Uint8Array(60000), memory);
  hole.setU32LE(0xffffffff);
  expect(filler.equals(new Uint8Array(60000))).toBe(true);
});

/** A byte of the model; sharing shares the cell. */
interface Cell {
  value: number;
}

test('placeholders survive appends and trims around them, and shares see them written', () => {
  const step = fc.oneof(
    fc.record({ kind: fc.constant('append'), n: fc.nat(300) }),
    fc.record({ kind: fc.constant('hole'), n: fc.integer({ min: 1, max: 40 }) }),
    fc.record({ kind: fc.constant('front'), n: fc.nat(100) }),
    fc.record({ kind: fc.constant('back'), n: fc.nat(100) }),
    fc.record({ kind: fc.constant('write'), n: fc.nat(1000) }),
    fc.record({ kind: fc.constant('share'), n: fc.nat(100) }),
  );
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60, size: 'max' }), (steps) => {
      const before = memory.stats().usedBytes;
      const buffer = new IOBuf(memory);
      let cells: Cell[] = [];
      const holes: { hole: Placeholder; cells: Cell[] }[] = [];
      const shares: { share: IOBuf; cells: Cell[] }[] = [];
      for (const [i, { kind, n }] of steps.entries()) {
        const part = Math.floor((n / 100) * cells.length);
        if (kind === 'append') {
          const data = pattern(n, i);
          buffer.append(data);
          cells = [...cells, ...Array.from(data, (value) => ({ value }))];
        } else if (kind === 'hole') {
          const own = Array.from({ length: n }, () => ({ value: 0 }));
          holes.push({ hole: buffer.placeholder(n), cells: own });
          cells = [...cells, ...own];
        } else if (kind === 'front') {
          buffer.trimFront(part);
          cells = cells.slice(part);
        } else if (kind === 'back') {
          buffer.trimBack(part);
          cells = cells.slice(0, cells.length - part);
        } else if (kind === 'write' && holes.length > 0) {
          const { hole, cells: own } = holes[n % holes.length];
          const at = n % own.length;
          const data = pattern(own.length - at, i);
          hole.write(data, at);
          for (const [j, value] of data.entries()) own[at + j].value = value;
        } else if (kind === 'share') {
          shares.push({ share: buffer.share(part), cells: cells.slice(part) });
        }
        buffer.invariants();
        expect([...buffer.toBuffer()]).toEqual(cells.map((cell) => cell.value));
      }
      for (const { share, cells: seen } of shares) {
        expect([...share.toBuffer()]).toEqual(seen.map((cell) => cell.value));
        share[Symbol.dispose]();
      }
      buffer[Symbol.dispose]();
      expect(memory.stats().usedBytes).toBe(before);
    }),
    { numRuns: runs(150) },
  );
});
