// The entry module of shards.test.ts; shard 0 acts and notes in a file what it saw.
import { appendFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { IOBuf } from '@sunstar/iobuf';

const sum = (buffer) => {
  let total = 0;
  for (const byte of buffer) total += byte;
  return total;
};

/** What `using` does, which Node 20 has not. */
const using = (buffer, use) => {
  try {
    return use(buffer);
  } finally {
    buffer[Symbol.dispose]();
  }
};

class Store {
  kept = [];
  memory;

  sum(buffer) {
    return using(buffer, sum);
  }
  keep(buffer) {
    return this.kept.push(buffer);
  }
  /** Goes on in pieces of what it got, some of which stay here. */
  split(buffer) {
    return using(buffer, (own) => {
      const half = own.sizeBytes >> 1;
      this.kept.push(own.share(0, half));
      return own.share(half, own.sizeBytes - half);
    });
  }
  giveBack() {
    return this.kept.pop();
  }
  make(sizeBytes, value) {
    return IOBuf.from(Buffer.alloc(sizeBytes, value), this.memory);
  }
  async makeLate(sizeBytes) {
    await sleep(40);
    return this.make(sizeBytes, 1);
  }
  drop() {
    for (const buffer of this.kept.splice(0)) buffer[Symbol.dispose]();
  }
  async *pieces(count, sizeBytes) {
    for (let index = 0; index < count; index++) yield this.make(sizeBytes, index);
  }
  live() {
    return this.memory.stats().liveBlocks;
  }
  crash() {
    setTimeout(() => {
      throw new RangeError('crash on purpose');
    }, 5);
  }
}

export default async function main(shard) {
  const store = await shard.sharded('store', Store);
  store.local.memory = shard.memory;
  if (shard.id !== 0) return;
  const { journal, act } = shard.data;
  const note = (what) => appendFileSync(journal, `${JSON.stringify(what)}\n`);
  await acts[act](shard, store, note);
}

/** Frees travel without waking anybody: calls take them along. */
async function liveOnBoth(shard, store) {
  let live = [];
  for (let round = 0; round < 200; round++) {
    live = [shard.memory.stats().liveBlocks, await store.on(1).live()];
    if (live[0] + live[1] === 0) break;
    await sleep(1);
  }
  return live;
}

const acts = {
  async transfer(shard, store, note) {
    const remote = store.on(1);
    let wrong = 0;
    const expect = (left, right) => {
      if (left !== right) wrong++;
    };
    const make = (sizeBytes, value) => IOBuf.from(Buffer.alloc(sizeBytes, value), shard.memory);
    for (let round = 0; round < 60; round++) {
      const sizeBytes = [0, 1, 100, 5000, 200_000][round % 5];
      const value = round & 127;
      expect(await remote.sum(make(sizeBytes, value)), sizeBytes * value);
      using(await remote.split(make(sizeBytes, value)), (half) => {
        expect(half.sizeBytes, sizeBytes - (sizeBytes >> 1));
        expect(sum(half), half.sizeBytes * value);
      });
      using(await remote.giveBack(), (other) => expect(sum(other), (sizeBytes >> 1) * value));
      const made = await remote.make(sizeBytes, value);
      expect(sum(made), sizeBytes * value);
      // Home again: it reads its own memory there.
      expect(await remote.sum(made.share(0, made.sizeBytes)), sizeBytes * value);
      made[Symbol.dispose]();
    }
    await Promise.all(Array.from({ length: 100 }, (_, index) => remote.keep(make(3000, index))));
    remote.drop();
    for await (const piece of await remote.pieces(50, 70_000)) {
      using(piece, (own) => expect(own.sizeBytes, 70_000));
    }
    for await (const piece of await remote.pieces(1000, 5000)) {
      piece[Symbol.dispose]();
      break;
    }
    note({ wrong, live: await liveOnBoth(shard, store) });
  },

  async late(shard, store, note) {
    const codes = [];
    for (let round = 0; round < 5; round++) {
      const late = store.on(1, { timeoutMs: 10 }).makeLate(100_000);
      codes.push(
        await late.then(
          () => 'in time',
          (error) => error.code,
        ),
      );
    }
    await sleep(60);
    note({ codes: new Set(codes).size, code: codes[0], live: await liveOnBoth(shard, store) });
  },

  async crash(shard, store, note) {
    for (let round = 0; round < 20; round++) {
      await store.on(1).keep(IOBuf.from(Buffer.alloc(50_000), shard.memory));
    }
    const held = shard.memory.stats().liveBlocks;
    const mine = await store.on(1).make(1000, 3);
    store.notify(1).crash();
    await store
      .on(1)
      .makeLate(1000)
      .catch(() => {});
    note({ held: held >= 20, live: shard.memory.stats().liveBlocks, readable: using(mine, sum) });
  },
};
