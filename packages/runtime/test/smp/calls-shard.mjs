// The entry module of calls-on-shards.test.ts; shard 0 acts and notes in a file what it saw.
import { appendFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { MessageChannel } from 'node:worker_threads';
import { currentCall, currentGroupId, currentShard, move, sleep as sleepHere } from '@sunstar/runtime';

class Desk {
  cleaned = 0;
  begun = 0;
  aborted = 0;
  entries = 0;
  notes = [];

  group() {
    return currentGroupId();
  }
  async groupLater() {
    const before = currentGroupId();
    await sleepHere(2);
    return [before, currentGroupId()];
  }
  async *groups(count) {
    for (let index = 0; index < count; index++) yield currentGroupId();
  }
  note(value) {
    this.notes.push([currentGroupId(), value]);
  }
  async served(group) {
    const family = (await currentShard().metrics.collect()).find(
      (one) => one.name === 'sunstar_smp_served_total',
    );
    return family.values.find(({ labels }) => labels.group === group).value;
  }
  async noted(count) {
    while (this.notes.length < count) await sleepHere(1);
    return this.notes;
  }
  fail() {
    throw new RangeError('no');
  }
  async *count(to, size) {
    try {
      for (let value = 0; value < to; value++) yield size === 0 ? value : Buffer.alloc(size, value);
    } finally {
      this.cleaned++;
    }
  }
  async sum(values) {
    let sum = 0;
    for await (const value of values) sum += value;
    return sum;
  }
  hang() {
    this.begun++;
    const { signal } = currentCall();
    return new Promise((_, reject) => {
      signal.addEventListener('abort', () => {
        this.aborted++;
        reject(signal.reason);
      });
    });
  }
  sumBytes(bytes, port) {
    port.postMessage('arrived');
    port.close();
    return bytes.reduce((sum, byte) => sum + byte, 0);
  }
  makeBytes(size) {
    return move(new Uint8Array(size).fill(5));
  }
  spin(ms) {
    this.entries++;
    const end = performance.now() + ms;
    while (performance.now() < end);
  }
  state() {
    return { cleaned: this.cleaned, begun: this.begun, aborted: this.aborted };
  }
  crash() {
    setTimeout(() => {
      throw new RangeError('crash on purpose');
    }, 5);
  }
}

export default async function main(shard) {
  shard.groups.create({ name: shard.id === 0 ? 'of shard 0' : 'of shard 1' });
  const group = shard.groups.create({ name: 'shared' });
  const own = shard.groups.create({ name: 'own' });
  const desk = await shard.sharded({ name: 'desk', fields: ['entries'] }, Desk);
  const owned = await shard.sharded({ name: 'owned', group: own }, Desk);
  if (shard.id !== 0) return;
  const { journal, act } = shard.data;
  const note = (what) => appendFileSync(journal, `${JSON.stringify(what)}\n`);
  await acts[act]({ shard, desk: desk.on(1), sharded: desk, owned: owned.on(1), group, own, note });
}

const acts = {
  async groups({ shard, desk, sharded, owned, group, own, note }) {
    const alone = shard.groups.find('of shard 0');
    const ask = async () => {
      const seen = [];
      const here = () => seen.push(currentGroupId());
      seen.push(await desk.group());
      here();
      seen.push(...(await desk.groupLater()));
      here();
      await desk.fail().catch(here);
      here();
      for await (const id of await desk.groups(3)) {
        seen.push(id);
        here();
      }
      here();
      return seen;
    };
    const inside = await group.run(ask);
    // Many at once, in different groups, whose answers come in one poll.
    const mixed = await Promise.all(
      Array.from({ length: 200 }, (_, index) =>
        (index % 2 === 0 ? group : own).run(async () => {
          const there = await desk.group();
          await desk.group();
          return there === currentGroupId() ? 0 : 1;
        }),
      ),
    );
    const burst = () => {
      for (let value = 0; value < 20; value++) sharded.notify(1).note(value);
    };
    group.run(burst);
    burst();
    own.run(burst);
    const noted = await desk.noted(60);
    const traffic = async (name, on) => {
      const family = (await on.metrics.collect()).find((one) => one.name === name);
      return family.values.find(({ labels }) => labels.group === 'own').value;
    };
    const sent = await traffic('sunstar_smp_sent_total', shard);
    note({
      id: group.id,
      sent,
      served: await desk.served('own'),
      noted: [group.id, 0, own.id].map((id) => noted.filter(([in_]) => in_ === id).map(([, value]) => value)),
      inside,
      outside: await ask(),
      unknown: await alone.run(async () => [await desk.group(), currentGroupId() === alone.id]),
      own: own.id,
      owned: await group.run(async () => [await owned.group(), await owned.groupLater(), currentGroupId()]),
      wrong: mixed.reduce((sum, wrong) => sum + wrong),
    });
  },

  async streams({ shard, desk, note }) {
    let sum = 0;
    let bytes = 0;
    for await (const value of await desk.count(2000, 0)) sum += value;
    for await (const value of await desk.count(300, 3000)) bytes += value.length;
    for await (const value of await desk.count(1000, 100)) if (value[0] === 7) break;
    const here = await desk.sum(new Desk().count(1000, 0));
    const state = await desk.state();
    note({ sum, bytes, here, state, live: shard.memory.stats().liveBlocks });
  },

  async limits({ sharded, note }) {
    const desk = sharded.on(1);
    // It may be over before it has begun, when the other shard has no CPU for so long.
    const late = await sharded
      .on(1, { timeoutMs: 20 })
      .hang()
      .catch((error) => error);
    const { begun } = await desk.state();
    const controller = new AbortController();
    const hanging = sharded
      .on(1, { signal: controller.signal })
      .hang()
      .catch((error) => error);
    while ((await desk.state()).begun === begun) await sleep(1);
    controller.abort(new TypeError('enough'));
    const aborted = await hanging;
    // The other side is told by a message: this call comes behind it.
    const state = await desk.state();
    note({ late: late.code, aborted: aborted.message, left: state.begun - state.aborted });
  },

  async moves({ desk, note }) {
    const { port1, port2 } = new MessageChannel();
    const heard = new Promise((resolve) => port2.once('message', resolve));
    const bytes = move(new Uint8Array(1_000_000).fill(3));
    const sum = await desk.sumBytes(bytes, port1);
    const back = await desk.makeBytes(300_000);
    note({ sum, left: bytes.length, heard: await heard, back: back.length, last: back[299_999] });
  },

  async load({ sharded, desk, note }) {
    const end = performance.now() + 300;
    while (performance.now() < end) await desk.spin(1);
    const busy = sharded.load(1);
    await sleep(300);
    await desk.state();
    const idle = sharded.load(1);
    note({ busy, idle });
  },

  async crash({ desk, note }) {
    const outcomes = [];
    const stream = await desk.count(1_000_000, 100);
    desk.crash();
    try {
      for await (const value of stream) outcomes[0] = value.length;
    } catch (error) {
      outcomes.push(error.code, error.cause?.message);
    }
    note(outcomes);
  },
};
