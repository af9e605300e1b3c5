// The entry module of shards.test.ts; shard 0 acts and notes in a file what it saw.
import { appendFileSync } from 'node:fs';
import { setImmediate as turn } from 'node:timers/promises';
import { IOBuf } from '@sunstar/iobuf';

let desks;

class Desk {
  #shard;
  #kept = [];
  constructor(shard) {
    this.#shard = shard;
  }
  keep(buffer) {
    this.#kept.push(buffer);
    return { hash: buffer.xxhash64(), local: buffer.isLocal, fragments: buffer.fragmentCount };
  }
  /** A buffer of this shard's own. */
  make(sizeBytes, byte) {
    return new IOBuf(this.#shard.memory).append(Buffer.alloc(sizeBytes, byte));
  }
  /** Sends on what is kept, with something of its own behind it. */
  async passOn(to) {
    const [buffer] = this.#kept.splice(0, 1);
    buffer.append(`passed by ${this.#shard.id}`);
    const hash = buffer.xxhash64();
    const seen = await desks.on(to).keep(buffer);
    return seen.hash === hash && buffer.isDisposed;
  }
  drop() {
    for (const buffer of this.#kept.splice(0)) buffer[Symbol.dispose]();
  }
  stats() {
    return this.#shard.memory.stats();
  }
  crash() {
    setTimeout(() => {
      throw new RangeError('crash on purpose');
    }, 5);
  }
}

export default async function main(shard) {
  desks = await shard.sharded('desks', Desk, shard);
  if (shard.id !== 0) return;
  const { journal, act } = shard.data;
  const { memory } = shard;
  const untilHome = async () => {
    while (memory.stats().liveBlocks > 0) await turn();
  };
  await acts[act]({ memory, untilHome }, (what) => appendFileSync(journal, JSON.stringify(what)));
}

function buffers(memory, count) {
  return Array.from({ length: count }, (_, index) => {
    const buffer = new IOBuf(memory);
    for (let part = 0; part < 1 + (index % 5); part++) buffer.append(Buffer.alloc(1 + index * 700, index));
    return buffer;
  });
}

const acts = {
  async move({ memory, untilHome }, note) {
    const sent = buffers(memory, 100);
    const hashes = sent.map((buffer) => buffer.xxhash64());
    const fragments = sent.reduce((sum, buffer) => sum + buffer.fragmentCount, 0);
    const seen = await Promise.all(sent.map((buffer) => desks.on(1).keep(buffer)));
    const liveWhileAway = memory.stats().liveBlocks;
    // Messages need a little, the content has 10 MB.
    const copied = (await desks.on(1).stats()).usedBytes > 2 ** 20;
    const moved = sent.every((buffer) => buffer.isDisposed);
    await desks.on(1).drop();
    await untilHome();
    memory.invariants();
    note({
      same: seen.every(({ hash }, index) => hash === hashes[index]),
      foreign: seen.every(({ local }) => !local),
      moved,
      stayed: liveWhileAway >= fragments,
      copied,
    });
  },

  async third({ memory, untilHome }, note) {
    await desks.on(1).keep(new IOBuf(memory).append(Buffer.alloc(20_000, 1)).append(Buffer.alloc(30_000, 2)));
    const passed = await desks.on(1).passOn(2);
    // Shard 1 had to copy what was shard 0's before it could send it on: shard 0 has everything back.
    await untilHome();
    const atHome = memory.stats().liveBlocks;
    const lent = (await desks.on(1).stats()).usedBytes >= 50_000;
    await desks.on(2).drop();
    // The question itself may take a block for a moment.
    while ((await desks.on(1).stats()).usedBytes > 10_000) await turn();
    note({ passed, atHome, lent });
  },

  async crash({ memory, untilHome }, note) {
    const mine = buffers(memory, 50);
    await Promise.all(mine.map((buffer) => desks.on(1).keep(buffer)));
    const theirs = await desks.on(1).make(100_000, 7);
    const hash = theirs.xxhash64();
    desks.notify(1).crash();
    await untilHome();
    memory.invariants();
    // A view that outlives its shard: the memory stays as long as somebody looks at it.
    const intact = theirs.xxhash64() === hash && theirs.byteAt(99_999) === 7;
    const copy = theirs.copy();
    theirs[Symbol.dispose]();
    const gone = attempt(() => theirs.byteAt(0));
    note({ intact, copied: copy.xxhash64() === hash && copy.isLocal, gone });
    copy[Symbol.dispose]();
  },
};

function attempt(action) {
  try {
    return action();
  } catch (error) {
    return error.code;
  }
}
