// Every shard calls the others all the time, and crashes when the test asks it to.
import { appendFileSync, existsSync, rmSync } from 'node:fs';

class Echo {
  #shard;
  calls = 0;

  constructor(shard) {
    this.#shard = shard;
  }

  echo(value) {
    this.calls++;
    return { shard: this.#shard.id, generation: this.#shard.generation, value };
  }

  /** Never answered. */
  hang() {
    return new Promise(() => {});
  }
}

class Second {
  count() {
    return 1;
  }
}

export default async function main(shard) {
  const { journal, act } = shard.data;
  const note = (what) => appendFileSync(journal, `${shard.id} ${what}\n`);
  const asked = (what) => existsSync(`${journal}.${what}.${shard.id}`);
  note(`start ${shard.generation}`);
  if (asked('fail-start')) throw new Error('start failed');
  // The order of services may change from one start to the next.
  const makers = [() => shard.sharded('echo', Echo, shard), () => shard.sharded({ name: 'second' }, Second)];
  if (shard.generation % 2 === 1) makers.reverse();
  const [a, b] = await Promise.all(makers.map((make) => make()));
  const echo = a.name === 'echo' ? a : b;
  const second = a.name === 'echo' ? b : a;
  shard.onStop(() => {
    if (act === 'crash in stop' && shard.id === 1) setImmediate(() => process.exit(5));
    return act === 'crash in stop' && shard.id === 1 ? new Promise(() => {}) : undefined;
  });
  // Runs before the others: what was lent to shards that crashed has come home.
  shard.onStop(async () => {
    const used = () => shard.memory.stats().usedBytes;
    for (let i = 0; i < 500 && used() > 0; i++) await new Promise((resolve) => setTimeout(resolve, 10));
    note(`uses ${used()}`);
  });
  const big = Buffer.alloc(3000, shard.id);
  let hanging = 0;
  const timer = setInterval(async () => {
    if (asked('crash')) {
      rmSync(`${journal}.crash.${shard.id}`);
      throw new Error('crash on request');
    }
    for (let peer = 0; peer < shard.count; peer++) {
      if (peer === shard.id) continue;
      if (hanging < 3) {
        hanging++;
        echo
          .on(peer)
          .hang()
          .catch((error) => {
            hanging--;
            if (error.code !== 'SUNSTAR_SHARD_STOPPED') note(`wrong ${error.code} ${error.message}`);
          });
      }
      try {
        const answers = await Promise.all([
          echo.on(peer).echo(1),
          echo.on(peer).echo(big),
          second.on(peer).count(),
        ]);
        const ok =
          answers[0].shard === peer &&
          answers[0].value === 1 &&
          big.equals(answers[1].value) &&
          answers[2] === 1;
        if (!ok) note(`wrong answer ${JSON.stringify(answers)}`);
        note(`answered ${peer} ${answers[0].generation}`);
      } catch (error) {
        if (error.code === 'SUNSTAR_SHARD_STOPPED') note(`stopped ${peer}`);
        else note(`wrong ${error.code} ${error.message}`);
      }
    }
  }, 3);
  shard.onDrain(() => clearInterval(timer));
  note('started');
}
