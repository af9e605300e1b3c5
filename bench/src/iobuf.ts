import { DynamicBuffer } from '@platformatic/dynamic-buffer';
import { IOBuf } from '@sunstar/iobuf';
import { createArena, ShardMemory } from '@sunstar/runtime';
import { BufferList } from 'bl';
import { Uint8ArrayList } from 'uint8arraylist';
import type { Benchmark, PreparedBenchmark } from './harness/benchmark.js';
import { parser } from './iobuf/parser.js';
import { type Body, caseOf, checkUsed, patternOf, use, type Work } from './iobuf/work.js';

const ARENA_BYTES = 64 * 1024 * 1024;
/** Chunks of a list, and their size: what a few reads of a busy socket bring. */
const CHUNKS = 16;
const CHUNK_BYTES = 1024;
const LIST_BYTES = CHUNKS * CHUNK_BYTES;
/** How many lists one call of a body works on. */
const LISTS = 16;
const STEP_BYTES = 100;
const STEPS = Math.floor(LIST_BYTES / STEP_BYTES);
const SLICES = 64;
/** Across a border of chunks, and inside of one. */
const SLICE_STARTS: readonly number[] = [300, 980, 5100, 9000];
const SLICE_BYTES = 100;
/** The chunks, as each library likes them best. */
interface Lists {
  readonly chunks: readonly Buffer[];
  readonly pieces: readonly IOBuf[];
  readonly iobuf: IOBuf;
  readonly bl: BufferList;
  readonly uint8arraylist: Uint8ArrayList;
  readonly dynamicBuffer: DynamicBuffer;
}

function makeLists(memory: ShardMemory): Lists {
  const chunks = Array.from({ length: CHUNKS }, () => patternOf(CHUNK_BYTES));
  const pieces = chunks.map((chunk) => IOBuf.from(chunk, memory));
  const iobuf = new IOBuf(memory);
  for (const piece of pieces) iobuf.link(piece);
  return {
    chunks,
    pieces,
    iobuf,
    bl: new BufferList([...chunks]),
    uint8arraylist: new Uint8ArrayList(...chunks),
    dynamicBuffer: new DynamicBuffer([...chunks]),
  };
}

/** A list that exists is filled with chunks that exist, by reference, and emptied. */
function appendLinked({ chunks, pieces }: Lists, memory: ShardMemory): Work {
  const buffer = new IOBuf(memory);
  const repeat = (fill: Body): Body => {
    return () => {
      for (let i = 0; i < LISTS; i++) fill();
    };
  };
  return {
    name: 'append a 1 KiB chunk by reference',
    operations: LISTS * CHUNKS,
    ours: repeat(() => {
      for (let i = 0; i < CHUNKS; i++) buffer.link(pieces[i]);
      use(buffer.sizeBytes);
      buffer.clear();
    }),
    peers: {
      bl: repeat(() => {
        const list = new BufferList();
        for (let i = 0; i < CHUNKS; i++) list.append(chunks[i]);
        use(list.length);
      }),
      uint8arraylist: repeat(() => {
        const list = new Uint8ArrayList();
        for (let i = 0; i < CHUNKS; i++) list.append(chunks[i]);
        use(list.byteLength);
      }),
      'dynamic-buffer': repeat(() => {
        const list = new DynamicBuffer();
        for (let i = 0; i < CHUNKS; i++) list.append(chunks[i]);
        use(list.length);
      }),
    },
  };
}

/**
 * Chunks as a socket gets them, by reference: places in memory that it receives into. The others need an object for
 * each to hold, and leave it to the collector when such a place may be used again.
 */
function appendReceived(memory: ShardMemory): Work {
  const base = memory.allocate(LIST_BYTES);
  const slab = Buffer.from(memory.bytes.buffer, memory.bytes.byteOffset + base, LIST_BYTES);
  slab.set(patternOf(LIST_BYTES));
  const buffer = new IOBuf(memory);
  let returned = 0;
  const owner = {
    release: (): void => {
      returned++;
    },
  };
  const repeat = (fill: Body): Body => {
    return () => {
      for (let i = 0; i < LISTS; i++) fill();
    };
  };
  const chunkAt = (i: number): Buffer => slab.subarray(i * CHUNK_BYTES, (i + 1) * CHUNK_BYTES);
  return {
    name: 'append a received 1 KiB by reference',
    operations: LISTS * CHUNKS,
    ours: repeat(() => {
      for (let i = 0; i < CHUNKS; i++) {
        buffer.adopt(base + i * CHUNK_BYTES, CHUNK_BYTES, 0, CHUNK_BYTES, owner);
      }
      use(buffer.sizeBytes);
      buffer.clear();
      if (returned !== CHUNKS) throw new Error('a place was not given back');
      returned = 0;
    }),
    peers: {
      bl: repeat(() => {
        const list = new BufferList();
        for (let i = 0; i < CHUNKS; i++) list.append(chunkAt(i));
        use(list.length);
      }),
      uint8arraylist: repeat(() => {
        const list = new Uint8ArrayList();
        for (let i = 0; i < CHUNKS; i++) list.append(chunkAt(i));
        use(list.byteLength);
      }),
      'dynamic-buffer': repeat(() => {
        const list = new DynamicBuffer();
        for (let i = 0; i < CHUNKS; i++) list.append(chunkAt(i));
        use(list.length);
      }),
    },
  };
}

/** The same, of bytes whose memory is used again afterwards, so that they have to be copied. */
function appendCopied(chunkBytes: number, memory: ShardMemory): Work {
  const chunk = patternOf(chunkBytes);
  const buffer = new IOBuf(memory);
  const repeat = (fill: Body): Body => {
    return () => {
      for (let i = 0; i < LISTS; i++) fill();
    };
  };
  return {
    name: `append a copy of ${chunkBytes} B`,
    operations: LISTS * CHUNKS,
    ours: repeat(() => {
      for (let i = 0; i < CHUNKS; i++) buffer.append(chunk);
      use(buffer.sizeBytes);
      buffer.clear();
    }),
    peers: {
      bl: repeat(() => {
        const list = new BufferList();
        for (let i = 0; i < CHUNKS; i++) list.append(Buffer.from(chunk));
        use(list.length);
      }),
      uint8arraylist: repeat(() => {
        const list = new Uint8ArrayList();
        for (let i = 0; i < CHUNKS; i++) list.append(Buffer.from(chunk));
        use(list.byteLength);
      }),
      'dynamic-buffer': repeat(() => {
        const list = new DynamicBuffer();
        for (let i = 0; i < CHUNKS; i++) list.append(Buffer.from(chunk));
        use(list.length);
      }),
    },
  };
}

function prepend({ chunks, pieces }: Lists, memory: ShardMemory): Work {
  const buffer = new IOBuf(memory);
  const repeat = (fill: Body): Body => {
    return () => {
      for (let i = 0; i < LISTS; i++) fill();
    };
  };
  return {
    name: 'prepend a 1 KiB chunk by reference',
    operations: LISTS * CHUNKS,
    ours: repeat(() => {
      for (let i = 0; i < CHUNKS; i++) buffer.prepend(pieces[i]);
      use(buffer.sizeBytes);
      buffer.clear();
    }),
    peers: {
      bl: repeat(() => {
        const list = new BufferList();
        for (let i = 0; i < CHUNKS; i++) list.prepend(chunks[i]);
        use(list.length);
      }),
      uint8arraylist: repeat(() => {
        const list = new Uint8ArrayList();
        for (let i = 0; i < CHUNKS; i++) list.prepend(chunks[i]);
        use(list.byteLength);
      }),
      'dynamic-buffer': repeat(() => {
        const list = new DynamicBuffer();
        for (let i = 0; i < CHUNKS; i++) list.prepend(chunks[i]);
        use(list.length);
      }),
    },
  };
}

/** A part of the list as a list of the same kind, without a copy. */
function slice({ iobuf, bl, uint8arraylist, dynamicBuffer }: Lists, memory: ShardMemory): Work {
  const into = new IOBuf(memory);
  const repeat = (one: (start: number) => number): Body => {
    return () => {
      for (let i = 0; i < SLICES; i++) {
        for (let s = 0; s < SLICE_STARTS.length; s++) use(one(SLICE_STARTS[s]));
      }
    };
  };
  return {
    name: 'slice 100 B',
    operations: SLICES * SLICE_STARTS.length,
    ours: repeat((start) => iobuf.slice(start, start + SLICE_BYTES, into).sizeBytes),
    peers: {
      bl: repeat((start) => bl.shallowSlice(start, start + SLICE_BYTES).length),
      uint8arraylist: repeat((start) => uint8arraylist.sublist(start, start + SLICE_BYTES).length),
      'dynamic-buffer': repeat((start) => dynamicBuffer.subarray(start, start + SLICE_BYTES).length),
    },
  };
}

/** A full list is emptied from the front in small steps; filling it is a tenth of the work. */
function consume({ chunks, pieces }: Lists, memory: ShardMemory): Work {
  const buffer = new IOBuf(memory);
  const repeat = (one: Body): Body => {
    return () => {
      for (let i = 0; i < LISTS; i++) one();
    };
  };
  return {
    name: 'consume 100 B',
    operations: LISTS * STEPS,
    ours: repeat(() => {
      for (let i = 0; i < CHUNKS; i++) buffer.link(pieces[i]);
      for (let i = 0; i < STEPS; i++) buffer.trimFront(STEP_BYTES);
      use(buffer.sizeBytes);
      buffer.clear();
    }),
    peers: {
      bl: repeat(() => {
        const list = new BufferList();
        for (let i = 0; i < CHUNKS; i++) list.append(chunks[i]);
        for (let i = 0; i < STEPS; i++) list.consume(STEP_BYTES);
        use(list.length);
      }),
      uint8arraylist: repeat(() => {
        const list = new Uint8ArrayList();
        for (let i = 0; i < CHUNKS; i++) list.append(chunks[i]);
        for (let i = 0; i < STEPS; i++) list.consume(STEP_BYTES);
        use(list.length);
      }),
      'dynamic-buffer': repeat(() => {
        const list = new DynamicBuffer();
        for (let i = 0; i < CHUNKS; i++) list.append(chunks[i]);
        for (let i = 0; i < STEPS; i++) list.consume(STEP_BYTES);
        use(list.length);
      }),
    },
  };
}

/** Finds what lies across the last border of chunks. */
function indexOf({ iobuf, bl, uint8arraylist }: Lists): Work {
  const at = LIST_BYTES - CHUNK_BYTES - 2;
  const needle = Buffer.from([255, 254, 253, 252]);
  const place = (set: (index: number, value: number) => void): void => {
    for (let i = 0; i < needle.length; i++) set(at + i, needle[i]);
  };
  // The peers share the chunks.
  place((index, value) => uint8arraylist.set(index, value));
  using tail = iobuf.splitAt(at);
  tail.trimFront(needle.length);
  iobuf.append(needle).take(tail);
  const repeat = (one: () => number): Body => {
    return () => {
      for (let i = 0; i < LISTS; i++) {
        if (one() !== at) throw new Error('not found where it is');
      }
    };
  };
  return {
    name: 'indexOf 4 B in 16 KiB',
    operations: LISTS,
    ours: repeat(() => iobuf.indexOf(needle)),
    peers: {
      bl: repeat(() => bl.indexOf(needle)),
      uint8arraylist: repeat(() => uint8arraylist.indexOf(needle)),
    },
  };
}

function toBuffer({ chunks, iobuf, bl, uint8arraylist, dynamicBuffer }: Lists): Work {
  const repeat = (one: () => Uint8Array): Body => {
    return () => {
      for (let i = 0; i < LISTS; i++) use(one().length);
    };
  };
  return {
    name: 'toBuffer of 16 KiB',
    operations: LISTS,
    ours: repeat(() => iobuf.toBuffer()),
    peers: {
      bl: repeat(() => bl.slice()),
      uint8arraylist: repeat(() => uint8arraylist.slice()),
      'dynamic-buffer': repeat(() => dynamicBuffer.buffer),
      'Buffer.concat': repeat(() => Buffer.concat(chunks, LIST_BYTES)),
    },
  };
}

/** A deep copy: a list of the same kind over memory of its own. */
function copy({ iobuf, bl, uint8arraylist, dynamicBuffer, chunks }: Lists, memory: ShardMemory): Work {
  const into = new IOBuf(memory);
  const repeat = (one: () => number): Body => {
    return () => {
      for (let i = 0; i < LISTS; i++) use(one());
    };
  };
  return {
    name: 'copy of 16 KiB',
    operations: LISTS,
    ours: repeat(() => iobuf.copy(into).sizeBytes),
    peers: {
      bl: repeat(() => new BufferList(bl.slice()).length),
      uint8arraylist: repeat(() => new Uint8ArrayList(uint8arraylist.slice()).length),
      'dynamic-buffer': repeat(() => new DynamicBuffer(Buffer.concat(dynamicBuffer.buffers)).length),
      'Buffer.concat': repeat(() => Buffer.concat(chunks, LIST_BYTES).length),
    },
  };
}

const benchmark: Benchmark = {
  description: 'byte buffers: IOBuf against bl, uint8arraylist, dynamic-buffer and Buffer.concat',
  prepare(): Promise<PreparedBenchmark> {
    const memory = new ShardMemory(createArena(ARENA_BYTES), { debug: false });
    const lists = makeLists(memory);
    return Promise.resolve({
      cases: [
        appendLinked(lists, memory),
        appendReceived(memory),
        appendCopied(64, memory),
        appendCopied(CHUNK_BYTES, memory),
        prepend(lists, memory),
        slice(lists, memory),
        consume(lists, memory),
        indexOf(lists),
        toBuffer(lists),
        copy(lists, memory),
        parser('small frames', (i) => 20 + ((i * 67) % 181), memory),
        parser('mixed frames', (i) => (i % 8 === 7 ? 6000 : 20 + ((i * 67) % 181)), memory),
      ].map(caseOf),
      teardown(): Promise<void> {
        checkUsed();
        return Promise.resolve();
      },
    });
  },
};

export default benchmark;
