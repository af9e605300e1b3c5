import { createArena, createControlBlock, Mesh, ShardMemory } from '@sunstar/runtime';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { IOBuf } from '../src/index.js';
import { expectCode, MIB, pattern, runs } from './support.js';

class Echo {
  kept: IOBuf[] = [];

  size(buffer: IOBuf): number {
    using owned = buffer;
    return owned.sizeBytes;
  }

  keep(buffer: IOBuf): string {
    this.kept.push(buffer);
    return buffer.toString('hex');
  }

  drop(): void {
    for (const buffer of this.kept.splice(0)) buffer[Symbol.dispose]();
  }

  make(bytes: Uint8Array): { parts: IOBuf[]; note: string } {
    return { parts: [IOBuf.from(bytes, memories[1]), new IOBuf(memories[1])], note: 'two' };
  }
}

const control = createControlBlock(2);
const arenas = [createArena(4 * MIB), createArena(4 * MIB)];
const memories = arenas.map((arena) => new ShardMemory(arena, { debug: true }));
const meshes = memories.map(
  (memory, shardId) => new Mesh({ shardId, control, memory, peerArenas: arenas, wake: () => undefined }),
);

async function until<T>(promise: Promise<T>): Promise<T> {
  let pending = true;
  const done = (): void => {
    pending = false;
  };
  promise.then(done, done);
  while (pending) await turn();
  return promise;
}

async function turn(): Promise<void> {
  for (const mesh of meshes) mesh.poll();
  await new Promise((resolve) => setImmediate(resolve));
}

async function settle(): Promise<void> {
  for (let i = 0; i < 4; i++) await turn();
}

function expectAllHome(): void {
  for (const mesh of meshes) {
    mesh.invariants();
    expect(mesh.stats.blocksAway).toBe(0);
  }
  for (const memory of memories) {
    memory.invariants();
    expect(memory.stats().liveBlocks).toBe(0);
  }
}

const [echo] = await until(Promise.all(meshes.map((mesh) => mesh.sharded('echo', Echo))));
const peer = meshes[1].services[0].local as Echo;

describe('a buffer that is sent to another shard', () => {
  test('moves without a copy and comes home when it is disposed there', async () => {
    const bytes = pattern(300_000);
    const buffer = IOBuf.from(bytes, memories[0]);
    const blocks = memories[0].stats().liveBlocks;
    const hex = await until(echo.on(1).keep(buffer));
    expect(hex).toBe(Buffer.from(bytes).toString('hex'));
    expectCode(() => buffer.sizeBytes, 'SUNSTAR_IOBUF_MOVED');
    buffer[Symbol.dispose]();
    const [kept] = peer.kept;
    expect(kept.isLocal).toBe(false);
    expect(kept.equals(bytes)).toBe(true);
    kept.invariants();
    // It lies where it was: nothing was allocated by the receiver.
    expect(memories[1].stats().liveBlocks).toBe(0);
    expect(memories[0].stats().liveBlocks).toBe(blocks);
    expectCode(() => kept.fragmentOffset(0), 'SUNSTAR_IOBUF_FOREIGN');
    // A share keeps it away.
    const share = kept.share(10, 5);
    peer.drop();
    await settle();
    expect(memories[0].stats().liveBlocks).toBe(blocks);
    expect([...share]).toEqual([...bytes.subarray(10, 15)]);
    share[Symbol.dispose]();
    await settle();
    expectAllHome();
  });

  test('may be anywhere in arguments and results, twice the same, empty, wrapped', async () => {
    const made = await until(echo.on(1).make(pattern(1000, 3)));
    expect(made.note).toBe('two');
    expect(made.parts[0].equals(pattern(1000, 3))).toBe(true);
    expect(made.parts[1].isEmpty).toBe(true);
    for (const part of made.parts) part[Symbol.dispose]();
    let released = 0;
    const wrapped = IOBuf.wrap(pattern(50), () => released++, memories[0]);
    expect(await until(echo.on(1).size(wrapped))).toBe(50);
    expect(released).toBe(1);
    await settle();
    expectAllHome();
  });

  test('stays with its owner when the call cannot be sent', async () => {
    const buffer = IOBuf.from('still mine', memories[0]);
    await expect(
      until(echo.on(1).keep({ buffer, callback: () => undefined } as unknown as IOBuf)),
    ).rejects.toMatchObject({ code: 'SUNSTAR_NOT_CLONEABLE' });
    expect(buffer.toString()).toBe('still mine');
    buffer[Symbol.dispose]();
    await expect(until(echo.on(1).keep(buffer))).rejects.toMatchObject({ code: 'SUNSTAR_IOBUF_DISPOSED' });
    await settle();
    expectAllHome();
  });

  test('arrives whatever it is made of, and every block comes home in any order', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.array(fc.uint8Array({ maxLength: 2000 }), { maxLength: 5 }), { maxLength: 6 }),
        fc.array(fc.nat(), { minLength: 6, maxLength: 6 }),
        async (contents, order) => {
          for (const pieces of contents) {
            const buffer = new IOBuf(memories[0]);
            for (const piece of pieces) {
              using one = IOBuf.from(piece, memories[0]);
              buffer.link(one);
            }
            expect(await until(echo.on(1).keep(buffer))).toBe(Buffer.concat(pieces).toString('hex'));
          }
          for (const n of order) {
            if (peer.kept.length === 0) break;
            const [buffer] = peer.kept.splice(n % peer.kept.length, 1);
            buffer[Symbol.dispose]();
          }
          await settle();
          expectAllHome();
        },
      ),
      { numRuns: runs(100) },
    );
  });

  test("is its owner's again when the other shard dies", async () => {
    await until(echo.on(1).keep(IOBuf.from(pattern(5000), memories[0])));
    expect(memories[0].stats().liveBlocks).toBeGreaterThan(0);
    meshes[0].peerGone(1, new Error('crashed'));
    expect(memories[0].stats().liveBlocks).toBe(0);
    peer.drop();
  });
});
