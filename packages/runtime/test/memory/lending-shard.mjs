// The entry module of lending.test.ts; shard 0 acts and notes in a file what it saw.
import { appendFileSync } from 'node:fs';
import { setImmediate as turn } from 'node:timers/promises';
import { LentBlock } from '@sunstar/runtime';

const BLOCKS = 400;

class Keeper {
  #shard;
  #kept = [];
  constructor(shard) {
    this.#shard = shard;
  }
  /** Takes a block, and says what it found in it. */
  keep(block) {
    this.#kept.push(block);
    const { bytes, offset, sizeBytes } = block;
    const first = bytes[offset];
    for (let at = offset; at < offset + sizeBytes; at++) if (bytes[at] !== first) return -1;
    return first;
  }
  /** Frees every second block, then the others. */
  freeAll() {
    const blocks = this.#kept.splice(0);
    for (const [index, block] of blocks.entries()) if (index % 2 === 0) block.free();
    for (const [index, block] of blocks.entries()) if (index % 2 === 1) block.free();
  }
  lend(byte) {
    const { memory } = this.#shard;
    const offset = memory.allocate(5000);
    memory.bytes.fill(byte, offset, offset + 5000);
    return new LentBlock(memory, offset);
  }
  foreignFreesSent() {
    return this.#shard.memory.stats().foreignFreesSent;
  }
  crash(how) {
    setTimeout(() => {
      if (how === 'exit') process.exit(3);
      throw new RangeError('crash on purpose');
    }, 5);
  }
}

export default async function main(shard) {
  const keepers = await shard.sharded('keepers', Keeper, shard);
  if (shard.id !== 0) return;
  const { journal, act, how } = shard.data;
  const { memory } = shard;

  const lendMany = async () => {
    const found = [];
    for (let index = 0; index < BLOCKS; index++) {
      const sizeBytes = 1 + ((index * 977) % 20_000);
      const offset = memory.allocate(sizeBytes);
      const block = new LentBlock(memory, offset);
      memory.bytes.fill(index % 251, offset, offset + block.sizeBytes);
      found.push(keepers.on(1).keep(block));
    }
    return (await Promise.all(found)).every((byte, index) => byte === index % 251);
  };
  const untilHome = async () => {
    while (memory.stats().lentBlocks > 0) await turn();
  };

  const note = { intact: await lendMany(), lent: memory.stats().lentBlocks };
  if (act === 'free') {
    await keepers.on(1).freeAll();
    await untilHome();
    note.foreignFreesSent = await keepers.on(1).foreignFreesSent();
    note.intactAgain = await lendMany();
    await keepers.on(1).freeAll();
  } else {
    const foreign = await keepers.on(1).lend(77);
    keepers.notify(1).crash(how);
    await untilHome();
    // What came from the dead shard is still there to be read, and giving it back harms nobody.
    note.foreign = foreign.bytes.subarray(foreign.offset, foreign.offset + 5000).every((byte) => byte === 77);
    foreign.free();
  }
  await untilHome();
  memory.trimCaches();
  memory.invariants();
  const { liveBlocks, foreignFrees, freeBytes, totalBytes } = memory.stats();
  appendFileSync(
    journal,
    JSON.stringify({ ...note, liveBlocks, foreignFrees, free: freeBytes === totalBytes }),
  );
}
