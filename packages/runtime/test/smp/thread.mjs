// One of the shards of threads.test.ts: a mesh without a reactor, which sleeps in Atomics.wait.
import { parentPort, workerData } from 'node:worker_threads';
import { Mesh, openArena, ShardMemory } from '@sunstar/runtime';

const { shardId, control, arenas, operations, outstandingMax, sleepy, largestBytes } = workerData;
const opened = arenas.map((arena) => openArena(arena));
const memory = new ShardMemory(opened[shardId]);
const mesh = new Mesh({
  shardId,
  control,
  memory,
  peerArenas: opened,
  wake: (peer) => Atomics.notify(mesh.words, sleepWordOf(peer)),
});
const { words, watch, sleepWord, shardCount } = mesh;
// The sleeping flags lie at equal distances.
const sleepWordOf = (shard) => sleepWord + (shard - shardId) * 32;

let seed = 12_345 + shardId;
const random = (below) => {
  seed = (Math.imul(seed, 1_103_515_245) + 12_345) & 0x7fff_ffff;
  return (seed >>> 8) % below;
};

class Peer {
  #next = new Array(shardCount).fill(0);
  finished = 0;

  ordered(from, number, filler) {
    if (number !== this.#next[from]++) throw new Error(`message ${number} of shard ${from} is out of order`);
    return filler;
  }
  async slowly(value) {
    for (let turns = random(4); turns > 0; turns--) await new Promise((resolve) => setImmediate(resolve));
    return value;
  }
  done() {
    this.finished++;
  }
}

const waiting = () => {
  for (let at = 0; at < watch.length; at += 2) {
    if (Atomics.load(words, watch[at]) !== Atomics.load(words, watch[at + 1])) return true;
  }
  return false;
};

let sleeps = 0;
let lostWakeUps = 0;
/** As native code does it: the flag first, then a last look, then sleep. */
function sleep() {
  Atomics.store(words, sleepWord, 1);
  if (!waiting()) {
    sleeps++;
    const outcome = Atomics.wait(words, sleepWord, 1, 300);
    if (outcome === 'timed-out' && waiting()) lookForLostWakeUp();
  }
  Atomics.store(words, sleepWord, 0);
}

/** Blocks that come home wake nobody; every other message must have. */
function lookForLostWakeUp() {
  const before = mesh.stats;
  mesh.poll();
  const { served, outstanding } = mesh.stats;
  if (served !== before.served || outstanding !== before.outstanding || before.queued > 0) lostWakeUps++;
}

let running = true;
async function reactor() {
  let idle = 0;
  while (running) {
    idle = mesh.poll() > 0 ? 0 : idle + 1;
    await new Promise((resolve) => setImmediate(resolve));
    // Enough turns that everything which could send has sent: what is left comes from outside.
    if (idle > 8 && sleepy) sleep();
  }
}

async function work(peers) {
  const next = new Array(shardCount).fill(0);
  const others = peers.filter((peer) => peer !== shardId);
  const failures = [];
  const open = new Set();
  const call = (promise, expected) => {
    const check = promise.then((value) => {
      if (value !== expected && !(Buffer.isBuffer(value) && value.equals(expected))) {
        failures.push('a wrong answer');
      }
    });
    const entry = check.catch((error) => failures.push(String(error))).finally(() => open.delete(entry));
    open.add(entry);
  };
  for (let operation = 0; operation < operations && failures.length === 0; operation++) {
    const peer = others[random(others.length)];
    const filler = 'x'.repeat(random(4) === 0 ? random(largestBytes) : random(20));
    switch (random(4)) {
      case 0:
        service.notify(peer).ordered(shardId, next[peer]++, filler);
        break;
      case 1:
        call(service.on(peer).slowly(filler), filler);
        break;
      case 2: {
        const bytes = Buffer.from(filler);
        call(service.on(peer).slowly(bytes), bytes);
        break;
      }
      default:
        call(service.on(peer).ordered(shardId, next[peer]++, filler), filler);
    }
    while (open.size >= outstandingMax) await Promise.race(open);
  }
  await Promise.all(open);
  return failures;
}

const loop = reactor();
const service = await mesh.sharded('peer', Peer);
const failures = await work(Array.from({ length: shardCount }, (_, peer) => peer));
await service.onAll.done();
while (service.local.finished < shardCount || memory.stats().liveBlocks > 0) {
  await new Promise((resolve) => setTimeout(resolve, 1));
  if (lostWakeUps > 0 || failures.length > 0) break;
}
const stats = mesh.stats;
mesh.invariants();
// All answers are there; the peers may still be on their way out and need this shard's goodbye only.
parentPort.postMessage({ failures, sleeps, lostWakeUps, stats, liveBlocks: memory.stats().liveBlocks });
parentPort.once('message', () => {
  running = false;
  mesh.close();
  void loop.then(() => parentPort.close());
});
