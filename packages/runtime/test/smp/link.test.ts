import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { heapArena } from '../../src/memory/arena.ts';
import { ShardMemory } from '../../src/memory/shard-memory.ts';
import { ControlLayout, createControlBlock, SHARD_STOPPED } from '../../src/smp/layout.ts';
import { Link } from '../../src/smp/link.ts';
import { BYE, CALL, FREE, PAYLOAD_WORDS_AT, ROOM } from '../../src/smp/message.ts';
import { preempt } from './preempt.ts';

function pair(slots = 4, maxQueued = 1000) {
  const control = createControlBlock(2, slots);
  const layout = ControlLayout.of(control);
  const shared = new Int32Array(control, 0, layout.sizeBytes >>> 2);
  const views = { shared, slots: shared, layout };
  const woken: number[] = [];
  const memories = [0, 1].map(() => new ShardMemory(heapArena(1024 * 1024), { debug: false }));
  const links = [0, 1].map(
    (shardId) =>
      new Link({
        views,
        shardId,
        peerId: 1 - shardId,
        memory: memories[shardId],
        maxQueued,
        wake: (shard) => woken.push(shard),
      }),
  );
  return { shared, layout, links, memories, woken };
}

const message = new Int32Array(16);

function send(link: Link, value: number): boolean {
  message[0] = CALL;
  message[1] = value;
  return link.send(message, 2, -1, true);
}

/** Takes all messages like a mesh does. @returns The values of the calls. */
function receive(link: Link, shared: Int32Array): number[] {
  const values: number[] = [];
  if (link.queued !== 0) link.flush();
  while (link.consumer.available() > 0) {
    const slot = link.consumer.take();
    const kind = shared[slot] & 0xff;
    if (kind === ROOM) link.roomMade();
    else if (kind === CALL) values.push(shared[slot + 1]);
    else if (kind === FREE) {
      for (let index = 0; index < shared[slot] >>> 16; index++) {
        link.takeBack(shared[slot + PAYLOAD_WORDS_AT + index]);
      }
    }
    link.release();
  }
  return values;
}

describe('Link', () => {
  it('keeps the order of messages, in the ring and behind it, both ways', () => {
    const step = fc.record({
      side: fc.constantFrom(0, 1),
      reads: fc.boolean(),
      sends: fc.nat(12),
      corked: fc.boolean(),
    });
    fc.assert(
      fc.property(fc.constantFrom(2, 4, 8), fc.array(step, { maxLength: 60 }), (slots, steps) => {
        const { shared, links } = pair(slots);
        const next = [0, 0];
        const got: number[][] = [[], []];
        const check = (): void => {
          for (const link of links) link.invariants();
        };
        for (const { side, reads, sends, corked } of steps) {
          if (reads) got[side].push(...receive(links[side], shared));
          links[side].corked = corked;
          for (let count = 0; count < sends; count++) expect(send(links[side], next[side]++)).toBe(true);
          links[side].uncork();
          check();
        }
        // A round may bring nothing but word of room; the next one then brings messages.
        for (let rounds = 2 * (next[0] + next[1]) + 2; rounds > 0; rounds--) {
          got[0].push(...receive(links[0], shared));
          got[1].push(...receive(links[1], shared));
          check();
        }
        expect(got[0]).toEqual(Array.from({ length: next[1] }, (_, index) => index));
        expect(got[1]).toEqual(Array.from({ length: next[0] }, (_, index) => index));
      }),
    );
  });

  it('shows messages that are in no hurry when there are sixteen, or when the running code gives way', async () => {
    const { shared, layout, links, woken } = pair(64);
    const relaxed = (value: number): void => {
      message[0] = CALL;
      message[1] = value;
      expect(links[0].send(message, 2, -1, false)).toBe(true);
      links[0].invariants();
    };
    for (let value = 0; value < 15; value++) relaxed(value);
    expect(receive(links[1], shared)).toEqual([]);
    relaxed(15);
    expect(receive(links[1], shared)).toHaveLength(16);
    expect(fallAsleep(shared, layout, 1)).toBe(true);
    relaxed(16);
    expect(woken).toEqual([]);
    await Promise.resolve();
    expect(woken).toEqual([1]);
    expect(receive(links[1], shared)).toEqual([16]);
    relaxed(17);
    send(links[0], 18);
    expect(receive(links[1], shared)).toEqual([17, 18]);
    await Promise.resolve();
    links[0].invariants();
  });

  it('refuses a message when too many wait for room', () => {
    const { shared, links } = pair(2, 3);
    const sent = Array.from({ length: 8 }, (_, value) => send(links[0], value));
    expect(sent).toEqual([true, true, true, true, true, false, false, false]);
    expect(links[0].overflowed).toBe(3);
    expect(receive(links[1], shared)).toEqual([0, 1]);
    expect(receive(links[0], shared)).toEqual([]);
    expect(receive(links[1], shared)).toEqual([2, 3]);
  });

  /** What native code does before it sleeps. @returns Whether it sleeps. */
  function fallAsleep(shared: Int32Array, layout: ControlLayout, shard: number): boolean {
    Atomics.store(shared, layout.sleepWord(shard), 1);
    const tail = Atomics.load(shared, layout.tailWord(1 - shard, shard));
    if (tail === Atomics.load(shared, layout.headWord(1 - shard, shard))) return true;
    Atomics.store(shared, layout.sleepWord(shard), 0);
    return false;
  }

  it('loses no wake-up, wherever either side loses its core', () => {
    for (const outer of ['sender', 'sleeper'] as const) {
      for (let at = 0, more = true; more; at++) {
        const { shared, layout, links, woken } = pair();
        let asleep = false;
        const sleep = (): void => {
          asleep = fallAsleep(shared, layout, 1);
        };
        const sender = (): void => {
          send(links[0], 7);
        };
        more = outer === 'sender' ? preempt(at, sleep, sender) : preempt(at, sender, sleep);
        if (!more) continue;
        // Asleep with a message in the ring is only right when somebody rings.
        if (asleep) expect(woken).toEqual([1]);
        else expect(woken.length).toBeLessThanOrEqual(1);
        expect(receive(links[1], shared)).toEqual([7]);
      }
    }
  });

  it('wakes a sleeper once for many messages, and one that is awake never', () => {
    const { shared, layout, links, woken } = pair(64);
    send(links[0], 1);
    expect(woken).toEqual([]);
    receive(links[1], shared);
    expect(fallAsleep(shared, layout, 1)).toBe(true);
    for (let value = 0; value < 20; value++) send(links[0], value);
    expect(woken).toEqual([1]);
    expect(links[0].wakeUps).toBe(1);
  });

  it('delivers what found the ring full to a side that goes to sleep', () => {
    // The receiver reads, the sender sleeps: only ROOM can bring the rest.
    for (const outer of ['reader', 'sleeper'] as const) {
      for (let at = 0, more = true; more; at++) {
        const { shared, layout, links, woken } = pair(2);
        for (let value = 0; value < 3; value++) send(links[0], value);
        expect(links[0].queued).toBe(1);
        let asleep = false;
        const sleep = (): void => {
          asleep = fallAsleep(shared, layout, 0);
        };
        const got: number[] = [];
        const read = (): void => {
          got.push(...receive(links[1], shared));
        };
        more = outer === 'reader' ? preempt(at, sleep, read) : preempt(at, read, sleep);
        if (!more) continue;
        if (asleep) expect(woken).toEqual([0]);
        receive(links[0], shared);
        read();
        expect(got).toEqual([0, 1, 2]);
      }
    }
  });

  it('moves what found the ring full when the reader made room just then', () => {
    for (let at = 0, more = true; more; at++) {
      const { shared, layout, links, woken } = pair(2);
      for (let value = 0; value < 2; value++) send(links[0], value);
      const got: number[] = [];
      const read = (): void => {
        got.push(...receive(links[1], shared));
      };
      more = preempt(at, read, () => send(links[0], 2));
      if (!more) continue;
      // Now the sender sleeps and the reader reads on: nothing may be left behind.
      if (fallAsleep(shared, layout, 0)) {
        read();
        if (woken.includes(0)) receive(links[0], shared);
      } else receive(links[0], shared);
      read();
      expect(got).toEqual([0, 1, 2]);
    }
  });

  it('wakes a sleeper whose ring is full of blocks that came home', () => {
    const { shared, layout, links, memories, woken } = pair(2);
    expect(fallAsleep(shared, layout, 1)).toBe(true);
    for (let count = 0; count < 2; count++) {
      message[0] = CALL;
      const block = memories[1].allocate(100);
      links[1].send(message, 2, block, true);
      receive(links[0], shared);
      links[0].giveBack(block);
      links[0].sendReturns();
    }
    woken.length = 0;
    Atomics.store(shared, layout.sleepWord(1), 1);
    send(links[0], 5);
    expect(links[0].queued).toBe(1);
    expect(woken).toEqual([1]);
    expect(receive(links[1], shared)).toEqual([]);
    receive(links[0], shared);
    expect(receive(links[1], shared)).toEqual([5]);
  });

  it('brings blocks home, without waking their owner for it', () => {
    const { shared, layout, links, memories, woken } = pair(64);
    const blocks = Array.from({ length: 30 }, () => memories[0].allocate(100));
    for (const block of blocks) {
      message[0] = CALL;
      expect(links[0].send(message, 2, block, true)).toBe(true);
    }
    expect(links[0].blocksAway).toBe(30);
    receive(links[1], shared);
    expect(fallAsleep(shared, layout, 0)).toBe(true);
    for (const block of blocks) links[1].giveBack(block);
    links[1].sendReturns();
    expect(woken).toEqual([]);
    receive(links[0], shared);
    expect(links[0].blocksAway).toBe(0);
    expect(memories[0].stats().liveBlocks).toBe(0);
  });

  it('refuses blocks that are not away', () => {
    const { links } = pair();
    expect(() => links[0].takeBack(64)).toThrow(
      expect.objectContaining({ code: 'SUNSTAR_BROKEN_INVARIANT' }),
    );
  });

  it('takes all blocks of a dead peer back, those that wait for room too', () => {
    const { links, memories } = pair(2);
    for (let count = 0; count < 5; count++) {
      message[0] = CALL;
      links[0].send(message, 2, memories[0].allocate(1000), true);
    }
    expect(memories[0].stats().liveBlocks).toBe(5);
    links[0].abandon(new Error('crash'));
    links[0].invariants();
    expect(memories[0].stats().liveBlocks).toBe(0);
    expect(links[0].queued).toBe(0);
  });

  it('does not ring at a peer that is gone', async () => {
    const { shared, layout, links, woken } = pair(64);
    expect(fallAsleep(shared, layout, 1)).toBe(true);
    message[0] = CALL;
    links[0].send(message, 2, -1, false);
    links[0].abandon(new Error('crash'));
    await Promise.resolve();
    expect(woken).toEqual([]);
  });

  it('says goodbye, in a full ring through the state of the shard', () => {
    for (const fill of [0, 2, 5]) {
      const { shared, layout, links, woken } = pair(2);
      for (let value = 0; value < fill; value++) send(links[0], value);
      fallAsleep(shared, layout, 1);
      Atomics.store(shared, layout.sleepWord(1), 1);
      Atomics.store(shared, layout.stateWord(0), SHARD_STOPPED);
      links[0].bye();
      expect(woken).toEqual([1]);
      let goodbye = false;
      while (links[1].consumer.available() > 0) {
        if ((shared[links[1].consumer.take()] & 0xff) === BYE) goodbye = true;
        if (!links[1].release()) goodbye = true;
      }
      expect(goodbye).toBe(true);
    }
  });
});
