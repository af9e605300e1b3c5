import {
  createArena,
  createControlBlock,
  LentBlock,
  Mesh,
  ShardMemory,
  type SunstarError,
} from '@sunstar/runtime';
import fc from 'fast-check';
import { afterEach, describe, expect, it } from 'vitest';

const MIB = 1024 * 1024;

class Reader {
  readonly kept: LentBlock[] = [];

  keep(block: LentBlock): number {
    this.kept.push(block);
    return block.bytes[block.offset + block.sizeBytes - 1];
  }

  readAndFree(block: LentBlock): number {
    using owned = block;
    return owned.bytes[owned.offset];
  }

  /** What is not kept and not freed stays away until the reader ends. */
  fail(_block: LentBlock): void {
    throw new Error('no');
  }

  make(byte: number): LentBlock {
    const offset = memories[1].allocate(5000);
    memories[1].bytes.fill(byte, offset, offset + 5000);
    return new LentBlock(memories[1], offset);
  }

  freeAll(): void {
    for (const block of this.kept.splice(0)) block.free();
  }
}

const warnings: SunstarError[] = [];
const control = createControlBlock(2);
const arenas = [createArena(4 * MIB), createArena(4 * MIB)];
const memories = arenas.map(
  (arena) => new ShardMemory(arena, { debug: true, onWarning: (warning) => warnings.push(warning) }),
);
const meshes = memories.map(
  (memory, shardId) => new Mesh({ shardId, control, memory, peerArenas: arenas, wake: () => undefined }),
);

async function turn(): Promise<void> {
  for (const mesh of meshes) mesh.poll();
  await new Promise((resolve) => setImmediate(resolve));
}

async function until<T>(promise: Promise<T>): Promise<T> {
  let pending = true;
  const done = (): void => {
    pending = false;
  };
  promise.then(done, done);
  while (pending) await turn();
  return promise;
}

function codeOf(action: () => unknown): string {
  try {
    action();
  } catch (error) {
    return (error as { code: string }).code;
  }
  return 'no error';
}

function blockOf(sizeBytes: number, byte: number): LentBlock {
  const offset = memories[0].allocate(sizeBytes);
  memories[0].bytes.fill(byte, offset, offset + sizeBytes);
  return new LentBlock(memories[0], offset);
}

const [readers] = await until(Promise.all(meshes.map((mesh) => mesh.sharded('reader', Reader))));
const peer = meshes[1].services[0].local as Reader;
const remote = readers.on(1);

async function settle(): Promise<void> {
  for (let index = 0; index < 4; index++) await turn();
}

afterEach(async () => {
  peer.freeAll();
  await settle();
  for (const memory of memories) {
    memory.invariants();
    expect(memory.stats()).toMatchObject({ liveBlocks: 0, lentBlocks: 0 });
  }
});

describe('a block that is freed on another shard', () => {
  it('is read there where it is, and free only once the message is home', async () => {
    const before = memories[0].stats().foreignFrees;
    const block = blockOf(10_000, 42);
    expect(await until(remote.keep(block))).toBe(42);
    expect(memories[0].stats()).toMatchObject({ lentBlocks: 1, liveBlocks: 1 });
    expect(codeOf(() => memories[0].free(block.offset))).toBe('SUNSTAR_INVALID_FREE');
    expect(codeOf(() => memories[0].reallocate(block.offset, 5))).toBe('SUNSTAR_INVALID_FREE');
    const [received] = peer.kept;
    expect([received.isLocal, received.sizeBytes]).toEqual([false, 10_000]);
    peer.freeAll();
    // Nobody has polled yet.
    expect(memories[0].stats()).toMatchObject({ lentBlocks: 1, liveBlocks: 1, foreignFrees: before });
    await settle();
    expect(memories[0].stats()).toMatchObject({ lentBlocks: 0, liveBlocks: 0, foreignFrees: before + 1 });
    expect(memories[1].stats().foreignFreesSent).toBeGreaterThan(0);
  });

  it('comes home with others in one message', async () => {
    const blocks = Array.from({ length: 24 }, (_, index) => blockOf(100, index));
    await until(Promise.all(blocks.map((block) => remote.keep(block))));
    const before = memories[0].stats().frees;
    peer.freeAll();
    await Promise.resolve();
    // Two messages of twelve.
    expect(meshes[0].poll()).toBe(2);
    expect(memories[0].stats().frees).toBe(before + 24);
  });

  it('can be freed by its receiver once, and not by its sender', async () => {
    const block = blockOf(64, 1);
    await until(remote.keep(block));
    expect(codeOf(() => block.free())).toBe('SUNSTAR_BLOCK_SPENT');
    expect(codeOf(() => block.bytes)).toBe('SUNSTAR_BLOCK_SPENT');
    block[Symbol.dispose]();
    const [received] = peer.kept.splice(0);
    expect(codeOf(() => received.pack())).toBe('SUNSTAR_BLOCK_FOREIGN');
    received.free();
    expect(codeOf(() => received.free())).toBe('SUNSTAR_BLOCK_SPENT');
  });

  it('can be the result of a call, and stays with its owner when it is not sent', async () => {
    const block = await until(remote.make(9));
    expect([block.isLocal, block.bytes[block.offset]]).toEqual([false, 9]);
    block.free();
    const mine = blockOf(100, 3);
    const keep = remote.keep as (...args: unknown[]) => Promise<number>;
    await expect(until(keep(mine, () => undefined))).rejects.toHaveProperty('code', 'SUNSTAR_NOT_CLONEABLE');
    expect(mine.bytes[mine.offset]).toBe(3);
    mine.free();
    expect(codeOf(() => new LentBlock(memories[0], mine.offset))).toBe('SUNSTAR_INVALID_OFFSET');
  });

  it('gives a warning when it was overrun there', async () => {
    await until(remote.keep(blockOf(100, 1)));
    const [received] = peer.kept;
    received.bytes[received.offset + 100] = 1;
    peer.freeAll();
    await settle();
    expect(warnings.splice(0)).toMatchObject([{ code: 'SUNSTAR_BUFFER_OVERRUN' }]);
  });

  it('comes home exactly once, in any order of calls, frees and polls', async () => {
    const step = fc.tuple(
      fc.constantFrom('send', 'call', 'free', 'poll'),
      fc.integer({ min: 1, max: 30 }),
      fc.nat(),
    );
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 25 }), async (steps) => {
        const calls: Promise<number>[] = [];
        let lent = 0;
        for (const [kind, count, pick] of steps) {
          for (let index = 0; index < count; index++) {
            if (kind === 'send' || kind === 'call') {
              const block = blockOf(1 + ((pick + index * 977) % 6000), index);
              calls.push(kind === 'send' ? remote.keep(block) : remote.readAndFree(block));
              lent++;
            } else if (kind === 'free' && peer.kept.length > 0) {
              const [block] = peer.kept.splice(pick % peer.kept.length, 1);
              expect(block.bytes[block.offset]).toBe(block.bytes[block.offset + block.sizeBytes - 1]);
              block.free();
            } else if (kind === 'poll') {
              meshes[pick % 2].poll();
            }
          }
          const { lentBlocks, liveBlocks } = memories[0].stats();
          expect(lentBlocks).toBeLessThanOrEqual(lent);
          expect(liveBlocks).toBeGreaterThanOrEqual(lentBlocks);
        }
        await until(Promise.all(calls));
        peer.freeAll();
        await settle();
        expect(memories[0].stats()).toMatchObject({ lentBlocks: 0, liveBlocks: 0 });
        memories[0].invariants();
      }),
      { numRuns: 30 },
    );
  });
});

describe('a shard that dies', () => {
  it('leaves the memory of the others whole', async () => {
    const others = createControlBlock(2);
    const pair = arenas.map(
      (_, shardId) =>
        new Mesh({
          shardId,
          control: others,
          memory: memories[shardId],
          peerArenas: arenas,
          wake: () => undefined,
        }),
    );
    const poll = (): void => {
      for (const mesh of pair) mesh.poll();
    };
    const starting = Promise.all(pair.map((mesh) => mesh.sharded('reader', Reader)));
    for (let index = 0; index < 20; index++) {
      poll();
      await new Promise((resolve) => setImmediate(resolve));
    }
    const [sharded] = await starting;
    const doomed = pair[1].services[0].local as Reader;
    const calls = Array.from({ length: 20 }, (_, index) =>
      sharded
        .on(1)
        .keep(blockOf(3000, index))
        .catch(() => -1),
    );
    pair[1].poll();
    expect(doomed.kept.length).toBeGreaterThan(0);
    expect(memories[0].stats().lentBlocks).toBe(20);
    pair[0].peerGone(1, new Error('crashed'));
    await Promise.all(calls);
    expect(memories[0].stats()).toMatchObject({ lentBlocks: 0 });
  });
});
