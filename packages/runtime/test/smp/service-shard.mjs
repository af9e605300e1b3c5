// The entry module of services.test.ts; shard 0 acts and notes in a file what it saw.
import { appendFileSync } from 'node:fs';
import { registerErrorClass, SunstarError } from '@sunstar/runtime';

class QuotaError extends SunstarError {
  used;
  constructor(used) {
    super('APP_QUOTA', `used ${used}`);
    this.used = used;
  }
}
registerErrorClass(QuotaError);

class Vault {
  #values = new Map();
  put(key, value) {
    if (value === undefined) throw new QuotaError(7);
    this.#values.set(key, value);
    return this.#values.size;
  }
  get(key) {
    return this.#values.get(key);
  }
  size() {
    return this.#values.size;
  }
  never() {
    return new Promise(() => {});
  }
  crash() {
    setTimeout(() => {
      throw new RangeError('crash on purpose');
    }, 5);
  }
}

export default async function main(shard) {
  const vault = await shard.sharded('vault', Vault);
  if (shard.id !== 0) return;
  const { journal, act } = shard.data;
  const note = (what) => appendFileSync(journal, `${JSON.stringify(what)}\n`);
  await acts[act](shard, vault, note);
}

const acts = {
  async calls(shard, vault, note) {
    const blob = Buffer.alloc(100_000, 3);
    for (let index = 0; index < 300; index++) {
      const key = `key ${index}`;
      await vault.on(shard.ownerOf(key)).put(key, index % 10 === 0 ? blob : { index });
    }
    const found = await vault.on(shard.ownerOf('key 10')).get('key 10');
    note({
      sizes: await vault.onAll.size(),
      same: found.equals(blob),
      live: shard.memory.stats().liveBlocks,
    });
  },

  async errors(_shard, vault, note) {
    async function storeNothing() {
      await vault.on(1).put('key', undefined);
    }
    const error = await storeNothing().catch((thrown) => thrown);
    note({
      known: error instanceof QuotaError,
      code: error.code,
      used: error.used,
      frames: error.stack.split('\n').map((line) => line.replace(/\(?file:.*\//, '(')),
    });
  },

  async crash(_shard, vault, note) {
    const waiting = vault.on(1).never();
    vault.notify(1).crash();
    waiting.catch((error) =>
      note({ code: error.code, cause: error.cause?.message, root: error.cause?.cause?.message }),
    );
  },
};
