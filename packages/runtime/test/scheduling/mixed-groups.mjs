// Chains of nested awaits in several groups at once; every continuation says in which group it runs. For the main
// thread of a test and for the shards of a runtime alike.
import { closeSync, openSync } from 'node:fs';
import {
  currentGroupId,
  IORING_OP,
  Mutex,
  maybeYield,
  Queue,
  Semaphore,
  sleep,
  yieldNow,
} from '@sunstar/runtime';

const BLOCK_BYTES = 4096;

/** A generator of numbers from 0 to below `n` that gives the same ones for the same seed. */
function numbers(seed) {
  let state = seed;
  return (n) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return Math.floor((state / 2 ** 32) * n);
  };
}

function spin(ms) {
  for (const endMs = performance.now() + ms; performance.now() < endMs; );
}

/** Groups of every kind: plain, latency-sensitive, nested. Those that the shard has already are used again. */
export function makeGroups(shard) {
  const group = (options) => shard.groups.find(options.name) ?? shard.groups.create(options);
  const service = group({ name: 'service', shares: 300 });
  return [
    shard.groups.default,
    service,
    group({ name: 'background', shares: 50 }),
    group({ name: 'requests', shares: 200, parent: service }),
    group({ name: 'urgent', shares: 100, latencySensitive: true }),
  ];
}

/**
 * Runs chains, some hundreds at a time.
 *
 * @returns How many continuations looked, and what those saw that ran in another group than that of their chain.
 */
export async function runMixed(shard, chains, seed) {
  const groups = makeGroups(shard);
  const random = numbers(seed);
  const { reactor, memory } = shard;
  const fd = openSync(process.execPath, 'r');
  const block = memory.allocate(BLOCK_BYTES);
  const address = memory.arena.address + block;
  const semaphore = new Semaphore(3);
  const mutex = new Mutex();
  const queue = new Queue({ capacity: 4 });
  const wrong = [];
  let checks = 0;

  const check = (group, where) => {
    checks++;
    if (currentGroupId() !== group.id) wrong.push(`${where} of ${group.name} in ${currentGroupId()}`);
  };

  const kinds = {
    nop: () => reactor.run('nop', IORING_OP.NOP, -1, 0, 0, 0),
    read: () => reactor.run('read', IORING_OP.READ, fd, address, BLOCK_BYTES, BLOCK_BYTES * random(100)),
    sleep: () => sleep(1 + random(2)),
    yield: () => yieldNow(),
    maybe: () => maybeYield(),
    resolved: () => null,
    semaphore: (group) =>
      semaphore.run(() => {
        check(group, 'with a permit');
        return kinds.nop();
      }, 1 + random(3)),
    mutex: (group) =>
      mutex.run(() => {
        check(group, 'with a lock');
        return kinds[random(2) === 0 ? 'nop' : 'yield']();
      }),
    queue: async (group) => {
      const pushed = queue.push(group.id);
      await queue.pop();
      check(group, 'with an item');
      await pushed;
    },
    group: async () => {
      const other = groups[random(groups.length)];
      const result = await other.run(async () => {
        check(other, 'inside');
        await kinds.nop();
        check(other, 'inside, later');
        return other.id;
      });
      if (result !== other.id) wrong.push('another result');
    },
    failure: async () => {
      const other = groups[random(groups.length)];
      const error = await other
        .run(async () => {
          await kinds.nop();
          throw new Error('why');
        })
        .catch((thrown) => thrown.message);
      if (error !== 'why') wrong.push('another error');
    },
    // Node calls back in the default group; bind() comes back.
    bound: (group) => group.bind(new Promise((resolve) => setImmediate(resolve))),
  };
  const names = Object.keys(kinds);

  async function nested(group, depth) {
    if (depth > 0) await nested(group, depth - 1);
    const kind = names[random(names.length)];
    await kinds[kind](group);
    check(group, `after ${kind}`);
    if (random(50) === 0) spin(0.3);
  }

  async function chain(group) {
    check(group, 'start');
    for (let i = random(3); i >= 0; i--) {
      await nested(group, random(6));
      check(group, 'between');
      await null;
      check(group, 'after a microtask');
    }
  }

  async function worker(count) {
    for (let i = 0; i < count; i++) {
      const group = groups[random(groups.length)];
      const caller = groups[random(groups.length)];
      await caller.run(async () => {
        await group.run(() => chain(group));
        check(caller, 'the caller');
      });
    }
  }

  const workers = Math.min(chains, 200);
  await Promise.all(Array.from({ length: workers }, () => worker(Math.ceil(chains / workers))));
  memory.free(block);
  closeSync(fd);
  return { checks, wrong };
}
