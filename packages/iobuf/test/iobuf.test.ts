import { OutOfMemoryError } from '@sunstar/runtime';
import { describe, expect, test } from 'vitest';
import { IOBuf } from '../src/index.js';
import { debugMemory, expectCode, MIB, pattern, plainMemory } from './support.js';

const memory = debugMemory();

/** A buffer whose content lies in fragments of exactly these pieces. */
function pieces(...parts: (Uint8Array | string)[]): IOBuf {
  const buffer = new IOBuf(memory);
  for (const part of parts) {
    using piece = IOBuf.from(part, memory);
    buffer.link(piece);
  }
  return buffer;
}

test('example: append, share, trim, scatter', () => {
  using buffer = new IOBuf(memory);
  buffer.append('hello ').append(Buffer.from('world'));
  using world = buffer.share(6);
  buffer.trimBack(5);
  buffer.append('there');
  expect(buffer.toString()).toBe('hello there');
  expect(world.toString()).toBe('world');
});

describe('ownership', () => {
  test('dispose gives everything back, twice is harmless, and use afterwards is an error', () => {
    const before = memory.stats();
    const buffer = IOBuf.from(pattern(300000), memory);
    const share = buffer.share(1000, 200000);
    expect(buffer.isDisposed).toBe(false);
    buffer[Symbol.dispose]();
    expect(buffer.isDisposed).toBe(true);
    expect(share.toBuffer().equals(pattern(300000).subarray(1000, 201000))).toBe(true);
    share[Symbol.dispose]();
    share[Symbol.dispose]();
    expect(memory.stats().usedBytes).toBe(before.usedBytes);
    const uses: ((b: IOBuf) => unknown)[] = [
      (b) => b.sizeBytes,
      (b) => b.append(''),
      (b) => b.share(),
      (b) => b.cursor(),
      (b) => b.fragmentCount,
      (b) => b.toString(),
      (b) => b.writeIovecs(0, 1),
      (b) => [...b],
      (b) => [...b.fragments()],
      (b) => b.clear(),
      (b) => b.equals(new Uint8Array(0)),
      (b) => new IOBuf(memory).appendIOBuf(b),
    ];
    for (const use of uses) expectCode(() => use(buffer), 'SUNSTAR_IOBUF_DISPOSED');
  });

  test('a disposed buffer does not see the buffer that got its recycled insides', () => {
    const first = IOBuf.from('first', memory);
    first[Symbol.dispose]();
    using second = IOBuf.from('second', memory);
    expectCode(() => first.toString(), 'SUNSTAR_IOBUF_DISPOSED');
    first[Symbol.dispose]();
    expect(second.toString()).toBe('second');
  });

  test('a lent block goes back to its owner once, with the last reference', () => {
    const released: number[] = [];
    const owner = { release: (offset: number): number => released.push(offset) };
    const block = memory.allocate(4096);
    memory.bytes.write('0123456789', block);
    const buffer = new IOBuf(memory).adopt(block, 4096, 2, 5, owner);
    const share = buffer.share(1, 2);
    using linked = new IOBuf(memory).link(share);
    buffer.append('x');
    expect(memory.bytes.toString('latin1', block, block + 10)).toBe('0123456789');
    expect(buffer.toString()).toBe('23456x');
    buffer[Symbol.dispose]();
    share.trimFront(2);
    expect(released).toEqual([]);
    expect(linked.toString()).toBe('34');
    linked.clear();
    expect(released).toEqual([block]);
    share[Symbol.dispose]();
    expect(released).toEqual([block]);
    memory.free(block);
  });

  test('an owner may use, make and dispose buffers while it is told', () => {
    const before = memory.stats().liveBlocks;
    using source = pieces('one', 'two', 'three');
    using kept = new IOBuf(memory);
    const refilled = new IOBuf(memory);
    const owner = {
      release(offset: number): void {
        memory.free(offset);
        // Fragments are taken and given back while others of the same chain still wait for it.
        using passing = source.share(1, 8);
        kept.link(passing).append('.');
        refilled.link(source);
        refilled.invariants();
        kept.invariants();
      },
    };
    for (let i = 0; i < 5; i++) refilled.adopt(memory.allocate(512), 512, 0, 100, owner);
    refilled.clear();
    expect(kept.toString()).toBe('netwothr.'.repeat(5));
    expect(refilled.toString()).toBe('onetwothree'.repeat(5));
    // Nothing that was given back is in two places.
    using other = new IOBuf(memory);
    for (let i = 0; i < 40; i++) other.link(source);
    expect(kept.toString()).toBe('netwothr.'.repeat(5));
    for (const buffer of [source, kept, refilled, other]) buffer.invariants();
    refilled[Symbol.dispose]();
    kept.clear();
    other.clear();
    source.clear();
    expect(memory.stats().liveBlocks).toBe(before);
  });

  test('what a clear keeps for later links is bounded, and makes room for any operation', () => {
    using piece = IOBuf.from('piece', memory);
    using buffer = new IOBuf(memory);
    for (const count of [1000, 65, 64, 10, 64, 3]) {
      for (let i = 0; i < count; i++) buffer.link(piece);
      buffer.invariants();
      expect(buffer.toString()).toBe('piece'.repeat(count));
      buffer.clear();
      buffer.invariants();
      // Fragments of every origin meet those that wait for a link: own, foreign, taken, in front and behind.
      using other = IOBuf.wrap(Buffer.from('(wrapped)'), undefined, memory);
      buffer.append('own').take(other).prepend('front ').link(piece).prepend(piece);
      buffer.invariants();
      expect(buffer.toString()).toBe('piecefront own(wrapped)piece');
      buffer.splice(11, 3)[Symbol.dispose]();
      buffer.trimBack(6);
      buffer.trimFront(5);
      buffer.invariants();
      expect(buffer.toString()).toBe('front (wrapped');
      buffer.trimFront(buffer.sizeBytes);
      buffer.invariants();
    }
  });

  test('an empty adoption returns the block at once', () => {
    const released: number[] = [];
    using buffer = new IOBuf(memory);
    buffer.adopt(8192, 4096, 100, 0, { release: (offset) => released.push(offset) });
    expect(released).toEqual([8192]);
    expect(buffer.fragmentCount).toBe(0);
  });

  test('an adopted block of its own serves later appends and is freed', () => {
    const before = memory.stats().liveBlocks;
    const buffer = new IOBuf(memory);
    buffer.adopt(memory.allocate(4096), 4096, 0, 10);
    buffer.append(pattern(4000));
    expect(buffer.fragmentCount).toBe(1);
    buffer[Symbol.dispose]();
    expect(memory.stats().liveBlocks).toBe(before);
  });
});

describe('appending never changes what a share sees', () => {
  test('after share, trimBack and append', () => {
    using buffer = IOBuf.from('abcdef', memory);
    using share = buffer.share();
    buffer.trimBack(3);
    buffer.append('XYZ');
    expect(buffer.toString()).toBe('abcXYZ');
    expect(share.toString()).toBe('abcdef');
  });

  test('a share appends into memory of its own', () => {
    using buffer = IOBuf.from('abc', memory);
    using share = buffer.share();
    share.append('123');
    buffer.append('def');
    expect(share.toString()).toBe('abc123');
    expect(buffer.toString()).toBe('abcdef');
    expect(buffer.fragmentCount).toBe(1);
  });

  test('appending a self-share and then appending again keeps earlier bytes', () => {
    using buffer = IOBuf.from('abc', memory);
    buffer.link(buffer);
    buffer.append('X');
    buffer.appendIOBuf(buffer);
    expect(buffer.toString()).toBe('abcabcXabcabcX');
    buffer.prepend(buffer);
    expect(buffer.toString()).toBe('abcabcXabcabcXabcabcXabcabcX');
    expect(buffer.take(buffer).sizeBytes).toBe(28);
  });

  test('an append of nothing to a trimmed buffer', () => {
    using buffer = IOBuf.from('ab', memory);
    using share = buffer.share(0, 1);
    share.append(new Uint8Array(0)).append('').appendRange(0, 0);
    buffer.append('c');
    buffer.invariants();
    share.invariants();
    expect(buffer.toString()).toBe('abc');
  });

  test('giving slack back does not touch bytes behind a trimmed tail that a share still sees', () => {
    using buffer = IOBuf.from(pattern(50000), memory);
    using share = buffer.share();
    buffer.trimBack(49000);
    using other = IOBuf.from('other', memory);
    buffer.link(other);
    using filler = IOBuf.from(new Uint8Array(60000), memory);
    expect(filler.sizeBytes).toBe(60000);
    expect(share.equals(pattern(50000))).toBe(true);
  });

  test('trimmed bytes that nobody shares are written again in place', () => {
    using buffer = IOBuf.from('abcdef', memory);
    buffer.trimBack(3);
    buffer.append('XYZ');
    expect(buffer.fragmentCount).toBe(1);
    expect(buffer.toString()).toBe('abcXYZ');
  });
});

describe('copy or link', () => {
  test('up to the capacity of the last fragment is copied, more is linked, 128 KiB always', () => {
    using small = IOBuf.from(pattern(512), memory);
    using larger = IOBuf.from(pattern(513), memory);
    using huge = IOBuf.from(pattern(131072), memory);
    using buffer = new IOBuf(memory);
    buffer.appendIOBuf(small);
    expect(buffer.fragmentOffset(0)).not.toBe(small.fragmentOffset(0));
    using empty = new IOBuf(memory);
    empty.appendIOBuf(larger);
    expect(empty.fragmentOffset(0)).toBe(larger.fragmentOffset(0));
    buffer.append(pattern(200000));
    expect(buffer.fragmentLength(buffer.fragmentCount - 1)).toBeGreaterThan(0);
    buffer.appendIOBuf(huge);
    expect(buffer.fragmentOffset(buffer.fragmentCount - 1)).toBe(huge.fragmentOffset(0));
  });

  test('link and prepend never copy, copy always does, exactly sized up to 16 KiB', () => {
    using source = pieces('ab', 'cd', pattern(10000));
    using linked = new IOBuf(memory).link(source);
    for (let i = 0; i < 3; i++) expect(linked.fragmentOffset(i)).toBe(source.fragmentOffset(i));
    using front = IOBuf.from('x', memory).prepend(source);
    expect(front.fragmentOffset(0)).toBe(source.fragmentOffset(0));
    using copied = source.copy();
    expect(copied.fragmentCount).toBe(1);
    expect(copied.fragmentLength(0)).toBe(10004);
    expect(copied.equals(source)).toBe(true);
    using large = IOBuf.from(pattern(300000), memory);
    using largeCopy = large.copy();
    expect([0, 1, 2].map((i) => largeCopy.fragmentLength(i))).toEqual([131072, 131072, 300000 - 262144]);
    expect(largeCopy.equals(large)).toBe(true);
  });

  test('linking gives the unused half of a large tail back to the allocator', () => {
    const plain = plainMemory();
    using buffer = IOBuf.from(pattern(100000), plain);
    buffer.trimBack(90000);
    using other = IOBuf.from('other', plain);
    const before = plain.stats().usedBytes;
    buffer.link(other);
    expect(plain.stats().usedBytes).toBe(before - 131072 + 16384);
    buffer.append('more');
    buffer.invariants();
    expect(buffer.sizeBytes).toBe(10009);
    plain.invariants();
  });

  test('take moves fragments and leaves the other empty and usable', () => {
    using from = IOBuf.from('tail', memory);
    using buffer = IOBuf.from('head ', memory);
    const at = from.fragmentOffset(0);
    buffer.take(from);
    expect(buffer.fragmentOffset(1)).toBe(at);
    expect(from.isEmpty).toBe(true);
    from.append('again');
    buffer.append('!');
    expect([buffer.toString(), from.toString()]).toEqual(['head tail!', 'again']);
  });

  test('content of another memory is copied', () => {
    const elsewhere = debugMemory(MIB);
    using foreign = IOBuf.from('foreign', elsewhere);
    using buffer = new IOBuf(memory);
    buffer.appendIOBuf(foreign).link(foreign).prepend(foreign).take(foreign);
    expect(buffer.toString()).toBe('foreign'.repeat(4));
    expect(foreign.isEmpty).toBe(true);
    expect(buffer.compare(IOBuf.from('foreign', elsewhere))).toBe(1);
  });
});

describe('text', () => {
  test.each(['a', 'é', '語', '😀', '\ud800x', 'x\udc00', 'ab😀é'])('%j across every border', (unit) => {
    const expected = Buffer.from(unit.repeat(700));
    for (let lead = 500; lead < 512; lead++) {
      using buffer = IOBuf.from('.'.repeat(lead), memory);
      buffer.append(unit.repeat(700));
      expect(buffer.fragmentCount).toBeGreaterThan(1);
      // The tail was filled to its last byte, although a character lies across the border.
      expect(buffer.fragmentLength(0)).toBe(512);
      expect(buffer.toBuffer().equals(Buffer.concat([Buffer.alloc(lead, '.'), expected]))).toBe(true);
      expect(buffer.toString('utf8', lead)).toBe(expected.toString());
    }
  });
});

describe('looking at content', () => {
  test('indexOf across fragments', () => {
    using buffer = pieces('GET k', 'ey\r', '\nre', 'st\r', '\r\n');
    expect(buffer.indexOf(13)).toBe(7);
    expect(buffer.indexOf(Buffer.from('\r\n'))).toBe(7);
    expect(buffer.indexOf(Buffer.from('\r\n'), 8)).toBe(14);
    expect(buffer.indexOf(Buffer.from('\r\n'), 15)).toBe(-1);
    expect(buffer.indexOf(Buffer.from('key\r\nrest\r\r\n'))).toBe(4);
    expect(buffer.indexOf(Buffer.from('nothing of it'))).toBe(-1);
    expect(buffer.indexOf(new Uint8Array(0), 5)).toBe(5);
    expectCode(() => buffer.indexOf(256), 'SUNSTAR_OUT_OF_RANGE');
    expectCode(() => buffer.indexOf(0, 17), 'SUNSTAR_OUT_OF_RANGE');
  });

  test('iteration', () => {
    using buffer = pieces('ab', 'c', 'de');
    expect([...buffer]).toEqual([97, 98, 99, 100, 101]);
    expect([...buffer.fragments()].map((f) => Buffer.from(f).toString())).toEqual(['ab', 'c', 'de']);
  });

  test('copyTo and copyToArena', () => {
    using buffer = pieces('ab', 'c', 'de');
    const target = new Uint8Array(7);
    expect(buffer.copyTo(target, 1)).toBe(5);
    expect([...target]).toEqual([0, 97, 98, 99, 100, 101, 0]);
    expectCode(() => buffer.copyTo(target, 3), 'SUNSTAR_OUT_OF_RANGE');
    const block = memory.allocate(16);
    expect(buffer.copyToArena(block)).toBe(5);
    expect(memory.bytes.toString('latin1', block, block + 5)).toBe('abcde');
    memory.free(block);
    expectCode(() => buffer.copyToArena(memory.arena.sizeBytes - 4), 'SUNSTAR_OUT_OF_RANGE');
  });
});

describe('bad input is an error with a code and changes nothing', () => {
  const bad = [-1, 0.5, Number.NaN, Number.POSITIVE_INFINITY, 2 ** 53, -0.1];
  test.each(bad)('%d', (value) => {
    using buffer = IOBuf.from('content', memory);
    const calls: (() => unknown)[] = [
      () => buffer.trimFront(value),
      () => buffer.trimBack(value),
      () => buffer.share(value),
      () => buffer.share(0, value),
      () => buffer.byteAt(value),
      () => buffer.indexOf(1, value),
      () => buffer.indexOf(value),
      () => buffer.appendRange(value, 1),
      () => buffer.appendRange(0, value),
      () => buffer.adopt(value, 10, 0, 5),
      () => buffer.adopt(0, value, 0, 5),
      () => buffer.adopt(0, 10, value, 5),
      () => buffer.adopt(0, 10, 0, value),
      () => buffer.reserve(value),
      () => buffer.commit(value),
      () => buffer.placeholder(value),
      () => buffer.fragmentOffset(value),
      () => buffer.fragmentLength(value),
      () => buffer.writeIovecs(value, 1),
      () => buffer.writeIovecs(0, value),
      () => buffer.writeIovecs(0, 1, value),
      () => buffer.toString('utf8', value),
      () => buffer.toString('utf8', 0, value),
      () => buffer.copyTo(new Uint8Array(100), value),
      () => buffer.copyToArena(value),
      () => buffer.appendU8(value),
      () => buffer.appendU16LE(value),
      () => buffer.appendU32LE(value),
      () => buffer.appendU64LE(value),
    ];
    for (const call of calls) expectCode(call, 'SUNSTAR_OUT_OF_RANGE');
    buffer.invariants();
    expect(buffer.toString()).toBe('content');
  });

  test('wrong types', () => {
    using buffer = IOBuf.from('content', memory);
    for (const value of [
      undefined,
      null,
      5,
      [1, 2],
      {},
      new Uint16Array(2),
      new DataView(new ArrayBuffer(2)),
    ]) {
      const data = value as Uint8Array;
      expectCode(() => buffer.append(data), 'SUNSTAR_INVALID_ARGUMENT');
      expectCode(() => buffer.prepend(data), 'SUNSTAR_INVALID_ARGUMENT');
      expectCode(() => buffer.compare(data), 'SUNSTAR_INVALID_ARGUMENT');
      expectCode(() => buffer.equals(data), 'SUNSTAR_INVALID_ARGUMENT');
      if (value !== 5) expectCode(() => buffer.indexOf(data), 'SUNSTAR_INVALID_ARGUMENT');
    }
    expect(buffer.toString()).toBe('content');
  });

  test('past the end', () => {
    using buffer = IOBuf.from('content', memory);
    expectCode(() => buffer.trimFront(8), 'SUNSTAR_OUT_OF_RANGE');
    expectCode(() => buffer.trimBack(8), 'SUNSTAR_OUT_OF_RANGE');
    expectCode(() => buffer.share(4, 4), 'SUNSTAR_OUT_OF_RANGE');
    expectCode(() => buffer.byteAt(7), 'SUNSTAR_OUT_OF_RANGE');
    expectCode(() => buffer.fragmentOffset(1), 'SUNSTAR_OUT_OF_RANGE');
    expectCode(() => buffer.reserve(131073), 'SUNSTAR_OUT_OF_RANGE');
    expectCode(() => buffer.toString('utf8', 3, 2), 'SUNSTAR_OUT_OF_RANGE');
  });

  test('a commit without its reservation', () => {
    using buffer = IOBuf.from('content', memory);
    expectCode(() => buffer.commit(0), 'SUNSTAR_IOBUF_NOT_RESERVED');
    buffer.reserve(10);
    expectCode(() => buffer.commit(11), 'SUNSTAR_IOBUF_NOT_RESERVED');
    buffer.append('x');
    expectCode(() => buffer.commit(10), 'SUNSTAR_IOBUF_NOT_RESERVED');
    buffer.reserve(100000);
    buffer.append(pattern(1000));
    expectCode(() => buffer.commit(10), 'SUNSTAR_IOBUF_NOT_RESERVED');
    buffer.reserve(10);
    buffer.trimBack(1);
    expectCode(() => buffer.commit(10), 'SUNSTAR_IOBUF_NOT_RESERVED');
    buffer.reserve(1);
    buffer.commit(1);
    expectCode(() => buffer.commit(1), 'SUNSTAR_IOBUF_NOT_RESERVED');
    expect(buffer.sizeBytes).toBe(7 + 1 + 1000 - 1 + 1);
  });
});

test('running out of memory in the middle leaves the content as it was', () => {
  const small = debugMemory(MIB);
  using source = IOBuf.from(pattern(400_000), small);
  using buffer = IOBuf.from('before', small);
  using share = buffer.share();
  const used = small.stats().usedBytes;
  const tooMuch: (() => unknown)[] = [
    () => buffer.append(pattern(MIB)),
    () => buffer.append('😀'.repeat(300_000)),
    () => buffer.appendRange(0, MIB),
    () => buffer.prepend(pattern(MIB)),
    () => {
      using copied = source.copy();
      return copied.copy();
    },
    () => IOBuf.from(pattern(MIB), small),
  ];
  for (const call of tooMuch) expect(call).toThrow(OutOfMemoryError);
  buffer.invariants();
  expect(buffer.toString()).toBe('before');
  expect(share.toString()).toBe('before');
  expect(buffer.fragmentCount).toBe(1);
  buffer.append(' and after');
  expect(buffer.toString()).toBe('before and after');
  expect(buffer.fragmentCount).toBe(1);
  expect(small.stats().usedBytes).toBe(used);
});
