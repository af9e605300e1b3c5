// The entry module of storm.ts: every shard asks all others, one call at a time, with random pauses in between.
// Nothing but messages wakes a shard that waits for an answer, or that has finished.
import { setTimeout as sleep } from 'node:timers/promises';

const FAILURES = 0;
const LATE = 1;
const FIRST_PROGRESS = 2;
/** Whatever else happens on the machine, an answer takes less; one whose wake-up was lost waits for some timer. */
const LATE_MS = 2500;

class Peer {
  #next = [];
  counts;

  ordered(from, number, filler) {
    const expected = this.#next[from] ?? 0;
    this.#next[from] = expected + 1;
    if (number !== expected || filler.length > 3000) Atomics.add(this.counts, FAILURES, 1);
    return filler;
  }
  async later(value) {
    await new Promise((resolve) => setImmediate(resolve));
    return value;
  }
}

export default async function main(shard) {
  const { counts, seed, durationMs, slowest } = shard.data;
  const peers = await shard.sharded('peer', Peer);
  peers.local.counts = counts;
  const untilMs = Date.now() + durationMs;
  let state = seed + shard.id * 7919;
  const random = (below) => {
    state = (Math.imul(state, 1_103_515_245) + 12_345) & 0x7fff_ffff;
    return (state >>> 8) % below;
  };
  const think = async () => {
    const kind = random(40);
    if (kind < 16) return;
    if (kind < 30) {
      const end = performance.now() + random(100) / 1000;
      while (performance.now() < end);
    } else if (kind < 36) await new Promise((resolve) => setImmediate(resolve));
    else if (kind < 38) await sleep(random(slowest));
    else shard.reactor.idlePollUs = [0, 0, 20, 200][random(4)];
  };
  const others = Array.from({ length: shard.count }, (_, id) => id).filter((id) => id !== shard.id);
  const next = new Array(shard.count).fill(0);
  while (Date.now() < untilMs) {
    const id = others[random(others.length)];
    const filler = 'x'.repeat(random(8) === 0 ? random(3000) : random(30));
    let answer;
    const askedMs = performance.now();
    switch (random(4)) {
      case 0:
        // More than the ring takes, at times.
        for (let count = random(random(10) === 0 ? 400 : 20); count > 0; count--) {
          peers.notify(id).ordered(shard.id, next[id]++, '');
        }
        answer = await peers.on(id).later(filler);
        break;
      case 1:
        answer = await peers.on(id).later(filler);
        break;
      default:
        answer = await peers.on(id).ordered(shard.id, next[id]++, filler);
    }
    if (answer !== filler) Atomics.add(counts, FAILURES, 1);
    if (performance.now() - askedMs > LATE_MS) Atomics.add(counts, LATE, 1);
    Atomics.add(counts, FIRST_PROGRESS + shard.id, 1);
    await think();
  }
}
