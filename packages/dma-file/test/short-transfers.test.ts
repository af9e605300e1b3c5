import { readFileSync } from 'node:fs';
import {
  DirectoryStorage,
  DmaFile,
  Log,
  makeDirectory,
  SegmentAppender,
  StreamReader,
  StreamWriter,
} from '@sunstar/dma-file';
import { IOBuf } from '@sunstar/iobuf';
import { type Completion, ERRNO, IORING_OP } from '@sunstar/runtime';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { randomOf } from './appender/manual-target.js';
import { scratch } from './support.js';

const { path, shard } = scratch();
const PAGE_BYTES = 4096;
const MIB = 1 << 20;

afterEach(() => {
  vi.restoreAllMocks();
});

interface Trouble {
  /** Transfers that the kernel was asked for only in part. */
  shortened: number;
  interrupted: number;
}

/**
 * From now on the ring moves only whole pages from the front of many a transfer, and answers to others that it was
 * interrupted, or has no resources now.
 */
function trouble(seed: number): Trouble {
  const random = randomOf(seed);
  const seen: Trouble = { shortened: 0, interrupted: 0 };
  const submit = shard.reactor.submit.bind(shard.reactor);
  const part = (length: number): number => {
    const pages = Math.ceil(length / PAGE_BYTES);
    return pages < 2 || random() < 0.4 ? length : (1 + Math.floor(random() * (pages - 1))) * PAGE_BYTES;
  };
  vi.spyOn(shard.reactor, 'submit').mockImplementation((completion, opcode, fd, address, length, ...rest) => {
    const isVector = opcode === IORING_OP.READV || opcode === IORING_OP.WRITEV;
    const isPlain =
      opcode === IORING_OP.READ ||
      opcode === IORING_OP.WRITE ||
      opcode === IORING_OP.READ_FIXED ||
      opcode === IORING_OP.WRITE_FIXED;
    if (!isVector && !isPlain) return submit(completion, opcode, fd, address, length, ...rest);
    if (random() < 0.2) {
      seen.interrupted++;
      const result = random() < 0.5 ? -ERRNO.EINTR : -ERRNO.EAGAIN;
      const answer: Completion = { complete: () => completion.complete(result, 0) };
      shard.reactor.defer(answer);
      return 0;
    }
    if (!isVector) {
      const moved = part(length);
      if (moved < length) seen.shortened++;
      return submit(completion, opcode, fd, address, moved, ...rest);
    }
    // Some pieces, or a part of the first one.
    const { view, address: base } = shard.memory.arena;
    const first = view.getUint32(address - base + 8, true);
    const cut = part(first);
    if (cut < first) {
      seen.shortened++;
      const at = view.getUint32(address - base, true) + view.getUint32(address - base + 4, true) * 2 ** 32;
      const simple = opcode === IORING_OP.READV ? IORING_OP.READ : IORING_OP.WRITE;
      return submit(completion, simple, fd, at, cut, ...rest);
    }
    const pieces = 1 + Math.floor(random() * length);
    if (pieces < length) seen.shortened++;
    return submit(completion, opcode, fd, address, pieces, ...rest);
  });
  return seen;
}

function pattern(length: number, seed: number): Buffer {
  return Buffer.from(Uint8Array.from({ length }, (_, i) => Math.imul(i + seed, 2654435761) >>> 19));
}

/** The same bytes in aligned fragments of a page each, which go to the device as vectored writes. */
function inPages(bytes: Buffer): IOBuf {
  const content = new IOBuf(shard.memory);
  for (let at = 0; at < bytes.length; at += PAGE_BYTES) {
    const offset = shard.memory.allocateAligned(PAGE_BYTES, PAGE_BYTES);
    bytes.copy(shard.memory.bytes, offset, at, at + PAGE_BYTES);
    content.adopt(offset, PAGE_BYTES, 0, PAGE_BYTES);
  }
  return content;
}

// What the kernel may do to any transfer, through every call that makes one.
describe.each([1, 2, 3])('on a ring that moves bytes in parts and is interrupted (%i)', (seed) => {
  it.each([
    ['a DmaFile', {}],
    ['one that is registered', { registerMemory: true, registerDescriptor: true }],
  ])('%s reads and writes all the same', async (_name, options) => {
    const file = await DmaFile.open(path('file'), { flags: 'w+', direct: 'require', ...options });
    const seen = trouble(seed);
    const bytes = pattern(MIB, seed);
    const expectFile = (from: number, to: number): void => {
      expect(readFileSync(path('file')).subarray(from, to).equals(bytes.subarray(from, to))).toBe(true);
    };

    expect(await file.write(0, bytes.subarray(0, 256 << 10))).toBe(256 << 10);
    expectFile(0, 256 << 10);
    using pages = inPages(bytes.subarray(256 << 10, 512 << 10));
    expect(await file.write(256 << 10, pages)).toBe(256 << 10);
    expectFile(256 << 10, 512 << 10);
    const batch = file.writeScattered(512 << 10, bytes.subarray(512 << 10, 768 << 10), {
      mergeBytes: 32_768,
    });
    expect(await batch.done).toBe(256 << 10);
    batch.invariants();
    expectFile(512 << 10, 768 << 10);

    const at = shard.memory.allocateAligned(256 << 10, PAGE_BYTES);
    const arena = shard.memory.bytes.subarray(at, at + (256 << 10));
    const pieces = [0, 1, 2, 3].map((i) => ({ memoryOffset: at + i * 32_768, length: 32_768 }));
    bytes.copy(arena, 0, 768 << 10);
    expect(await file.writev(768 << 10, pieces)).toBe(128 << 10);
    expect(await file.writeAligned(896 << 10, at + (128 << 10), 128 << 10)).toBe(128 << 10);
    expectFile(768 << 10, MIB);

    arena.fill(0);
    expect(await file.readv(768 << 10, pieces)).toBe(128 << 10);
    expect(await file.readInto(896 << 10, at + (128 << 10), 128 << 10)).toBe(128 << 10);
    expect(arena.equals(bytes.subarray(768 << 10))).toBe(true);
    // What the end of the file cuts is the only thing that is short.
    expect(await file.readv(960 << 10, pieces)).toBe(64 << 10);
    expect(await file.readInto(960 << 10, at, 128 << 10)).toBe(64 << 10);
    for (let i = 0; i < 4; i++) {
      const position = i * (256 << 10);
      bytes.copy(arena, 0, position);
      for (let at = 0; at < arena.length; at += PAGE_BYTES) arena[at] ^= 0xff;
      arena.copy(bytes, position);
      const written = await new Promise((resolve) =>
        file.submitDurableWrite({ complete: resolve }, position, at, 256 << 10),
      );
      expect(written).toBe(256 << 10);
      expectFile(position, position + (256 << 10));
    }
    shard.memory.free(at);

    using exactly = await file.readExactly(1000, 700_000);
    expect(exactly.toBuffer().equals(bytes.subarray(1000, 701_000))).toBe(true);
    using last = await file.read(MIB - 300_001, MIB);
    expect(last.toBuffer().equals(bytes.subarray(MIB - 300_001))).toBe(true);
    await expect(file.readExactly(MIB - 100, 101)).rejects.toMatchObject({ code: 'SUNSTAR_END_OF_FILE' });
    const ranges = [10, 5000, 200_000, 900_001].map((position) => ({ position, length: 60_000 }));
    for await (const { position, length, content } of file.readMany(ranges)) {
      expect(content.toBuffer().equals(bytes.subarray(position, position + length))).toBe(true);
      content[Symbol.dispose]();
    }
    file.invariants();
    expect(seen.shortened).toBeGreaterThan(10);
    expect(seen.interrupted).toBeGreaterThan(3);
    await file.close();
  });

  it('an appender writes its pages again and again, and goes on in the middle of one', async () => {
    const bytes = pattern(400_000, seed);
    const seen = trouble(seed);
    let appender = await SegmentAppender.open(await DmaFile.open(path('log'), { flags: 'w+' }), {
      chunkBytes: 65536,
    });
    let at = 0;
    for (const length of [10, 4000, 100, 150_000, 1, 50_000]) {
      appender.append(bytes.subarray(at, at + length));
      at += length;
      expect(await appender.flush()).toBe(at);
      expect(readFileSync(path('log')).subarray(0, at).equals(bytes.subarray(0, at))).toBe(true);
    }
    await appender.close();
    appender = await SegmentAppender.open(await DmaFile.open(path('log'), { flags: 'r+' }), { position: at });
    appender.append(bytes.subarray(at));
    await appender.close();
    expect(readFileSync(path('log')).equals(bytes)).toBe(true);
    expect(seen.shortened).toBeGreaterThan(2);
  });

  it('streams have every byte, in order', async () => {
    const bytes = pattern(MIB + 777, seed);
    const seen = trouble(seed);
    const writer = await StreamWriter.open(await DmaFile.open(path('stream'), { flags: 'w+' }));
    for (let at = 0; at < bytes.length; at += 99_999) await writer.write(bytes.subarray(at, at + 99_999));
    await writer.close();
    expect(readFileSync(path('stream')).equals(bytes)).toBe(true);
    await using file = await DmaFile.open(path('stream'));
    const reader = new StreamReader(file, { start: 5 });
    let at = 5;
    using beginning = await reader.readExactly(300_000);
    expect(beginning.toBuffer().equals(bytes.subarray(at, at + 300_000))).toBe(true);
    at += 300_000;
    for await (const piece of reader) {
      expect(piece.toBuffer().equals(bytes.subarray(at, at + piece.sizeBytes))).toBe(true);
      at += piece.sizeBytes;
      piece[Symbol.dispose]();
    }
    expect(at).toBe(bytes.length);
    expect(seen.shortened).toBeGreaterThan(5);
  });

  it('a log is whole, and is recovered whole', async () => {
    const directory = path(`segments-${seed}`);
    await makeDirectory(directory);
    trouble(seed);
    const options = { segmentBytes: 256 << 10 };
    const log = await Log.open(new DirectoryStorage(directory), options);
    for (let i = 0; i < 20; i++) await log.append(pattern(50_000 + i, i));
    await log.flush();
    const readAll = async (from: Log): Promise<void> => {
      let next = 0;
      for await (const { sequence, payload } of from.read()) {
        expect(sequence).toBe(next);
        expect(payload.equals(pattern(50_000 + next, next))).toBe(true);
        next++;
      }
      expect(next).toBe(20);
    };
    await readAll(log);
    await log.close();
    const again = await Log.open(new DirectoryStorage(directory), options);
    await readAll(again);
    await again.close();
  });
});
