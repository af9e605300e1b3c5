import fc from 'fast-check';
import { describe, expect, it, vi } from 'vitest';
import { createControlBlock } from '../../src/smp/layout.ts';
import { Mesh } from '../../src/smp/mesh.ts';
import { shards, startService } from './shards.ts';

class Store {
  readonly seen: unknown[] = [];
  #gates: (() => void)[] = [];

  echo(value: unknown): unknown {
    return value;
  }
  record(value: unknown): number {
    return this.seen.push(value);
  }
  async later(value: unknown): Promise<unknown> {
    await new Promise<void>((resolve) => this.#gates.push(resolve));
    return value;
  }
  open(): number {
    const gates = this.#gates.splice(0);
    for (const gate of gates) gate();
    return gates.length;
  }
  count(...values: unknown[]): number {
    return values.length;
  }
  fail(message: string): never {
    throw new RangeError(message);
  }
}

/** For promises whose rejection is looked at later. */
function expected<T extends Promise<unknown>[]>(promises: T): T {
  for (const promise of promises) promise.catch(() => {});
  return promises;
}

const code = (name: string): unknown => expect.objectContaining({ code: `SUNSTAR_${name}` });

describe('Mesh', () => {
  it('brings any mix of calls to their shard and the answers back, in order, and all memory home', async () => {
    const call = fc.record({
      from: fc.nat(2),
      to: fc.nat(2),
      size: fc.oneof(fc.nat(60), fc.nat(5000)),
      kind: fc.constantFrom('record', 'later', 'notify', 'fail'),
    });
    await fc.assert(
      fc.asyncProperty(
        fc.constantFrom(2, 4, 128),
        fc.array(call, { maxLength: 120 }),
        async (slots, calls) => {
          const all = shards({ count: 3, slots, messagesPerPeer: 3, messagesPerPoll: 4 });
          const stores = await startService(all, 'store', Store);
          const expected = new Map<string, string[]>();
          const answers: Promise<unknown>[] = [];
          for (const [index, { from, to, size, kind }] of calls.entries()) {
            const value = `${from}:${index}:`.padEnd(size, 'x');
            if (kind === 'fail') {
              answers.push(expect(stores[from].on(to).fail(value)).rejects.toThrow(new RangeError(value)));
            } else if (kind === 'later') {
              answers.push(expect(stores[from].on(to).later(value)).resolves.toBe(value));
            } else {
              const key = `${from}>${to}`;
              expected.set(key, [...(expected.get(key) ?? []), value]);
              if (kind === 'notify') stores[from].notify(to).record(value);
              else answers.push(expect(stores[from].on(to).record(value)).resolves.toBeGreaterThan(0));
            }
            if (index % 10 === 0) await all.turn();
            for (const mesh of all.meshes) mesh.invariants();
          }
          await all.settle();
          for (const store of stores) store.local.open();
          await all.settle();
          await Promise.all(answers);
          for (const [key, values] of expected) {
            const [from, to] = key.split('>').map(Number);
            expect(stores[to].local.seen.filter((value) => (value as string).startsWith(`${from}:`))).toEqual(
              values,
            );
          }
          all.check();
        },
      ),
      { numRuns: 60 },
    );
  });

  it('passes any number of arguments', async () => {
    const all = shards();
    const [store] = await startService(all, 'store', Store);
    for (const count of [0, 1, 2, 3, 4, 5, 40, 5000]) {
      const args = Array.from({ length: count }, (_, index) => index);
      expect(await all.until(store.on(1).count(...args))).toBe(count);
    }
    await expect(store.on(1).count(...new Array<number>(65_536).fill(0))).rejects.toEqual(
      code('MESSAGE_TOO_LARGE'),
    );
    all.check();
  });

  it('keeps the order of calls that find the ring full', async () => {
    const all = shards({ slots: 8 });
    const [store, target] = await startService(all, 'store', Store);
    const answers = Array.from({ length: 5000 }, (_, index) => store.on(1).record(index));
    expect(all.meshes[0].stats.queued).toBe(5000 - 8);
    expect(all.meshes[0].stats.overflowed).toBe(5000 - 8);
    await all.until(Promise.all(answers));
    expect(target.local.seen).toEqual(Array.from({ length: 5000 }, (_, index) => index));
    all.check();
  });

  it('refuses calls above the bound, and takes them again when answers have come', async () => {
    const all = shards({ slots: 4, maxOutstanding: 10 });
    const [store] = await startService(all, 'store', Store);
    const answers = Array.from({ length: 10 }, () => store.on(1).echo(1));
    await expect(store.on(1).echo(1)).rejects.toEqual(code('SMP_OVERLOADED'));
    expect(() => {
      for (let count = 0; count < 100; count++) store.notify(1).echo(2);
    }).toThrow(code('SMP_OVERLOADED'));
    await all.until(Promise.all(answers));
    await all.settle();
    expect(await all.until(store.on(1).echo('again'))).toBe('again');
    all.check();
  });

  it('starves no peer and not the reactor when one floods it', async () => {
    const all = shards({ count: 3, messagesPerPeer: 8, messagesPerPoll: 16 });
    const stores = await startService(all, 'store', Store);
    for (let index = 0; index < 100; index++) stores[0].notify(2).record(`flood ${index}`.padEnd(30));
    stores[1].notify(2).record('quiet');
    await Promise.resolve();
    expect(all.meshes[2].poll()).toBeLessThanOrEqual(16);
    expect(stores[2].local.seen).toContain('quiet');
    expect(stores[2].local.seen.length).toBeLessThanOrEqual(16);
    // Shards take turns when the bound cuts a poll short.
    const turns = shards({ count: 3, messagesPerPeer: 8, messagesPerPoll: 8 });
    const others = await startService(turns, 'store', Store);
    for (let index = 0; index < 40; index++) {
      others[0].notify(2).record('a'.repeat(30));
      others[1].notify(2).record('b'.repeat(30));
    }
    await Promise.resolve();
    for (let count = 0; count < 4; count++) turns.meshes[2].poll();
    expect(others[2].local.seen.filter((value) => value === 'a'.repeat(30)).length).toBe(16);
    await all.settle();
    await turns.settle();
  });

  it('may be called from a getter of an argument, and closed from one', async () => {
    const all = shards();
    const [store, target] = await startService(all, 'store', Store);
    let inner: Promise<unknown> | undefined;
    const argument = {
      get nested() {
        inner = store.on(1).record('inner');
        return 'x'.repeat(100);
      },
    };
    await all.until(store.on(1).record(argument));
    await inner;
    expect(target.local.seen).toEqual(['inner', { nested: 'x'.repeat(100) }]);
    all.check();
    const closing = {
      filler: 'x'.repeat(100),
      get last() {
        all.meshes[0].close();
        return 1;
      },
    };
    await expect(store.on(1).record(closing)).rejects.toEqual(code('SHARD_STOPPED'));
    expect(all.memories[0].stats().liveBlocks).toBe(0);
  });

  it('rejects the calls to a shard that crashed, with the cause, and no others', async () => {
    const all = shards({ count: 3, slots: 4 });
    const [store] = await startService(all, 'store', Store);
    const lost = expected(Array.from({ length: 10 }, () => store.on(1).later('x'.repeat(500))));
    const kept = store.on(2).later('kept');
    all.meshes[2].poll();
    expect(all.memories[0].stats().liveBlocks).toBeGreaterThan(5);
    const crash = new Error('shard 1 crashed');
    all.meshes[0].peerGone(1, crash);
    all.meshes[0].peerGone(1, new Error('twice'));
    for (const answer of lost) {
      await expect(answer).rejects.toEqual(code('SHARD_STOPPED'));
      await expect(answer).rejects.toMatchObject({ cause: crash });
      await expect(answer).rejects.toThrow(/Shard 1 has stopped before store\.later\(\) was answered/);
    }
    await expect(store.on(1).echo(1)).rejects.toMatchObject({ code: 'SUNSTAR_SHARD_STOPPED', cause: crash });
    expect(() => store.notify(1).echo(1)).toThrow(code('SHARD_STOPPED'));
    store.notify(2).open();
    expect(await all.until(kept)).toBe('kept');
    expect(all.memories[0].stats().liveBlocks).toBe(0);
    all.meshes[0].invariants();
  });

  it('takes the answers that a crashed shard had sent', async () => {
    const all = shards();
    const [store] = await startService(all, 'store', Store);
    const answered = store.on(1).echo('x'.repeat(2000));
    all.meshes[1].poll();
    all.meshes[0].peerGone(1, new Error('crash'));
    expect(await answered).toBe('x'.repeat(2000));
  });

  it('closes: its calls and those to it reject, also when the rings are full', async () => {
    for (const fill of [1, 30]) {
      const all = shards({ count: 3, slots: 4 });
      const stores = await startService(all, 'store', Store);
      const mine = expected(Array.from({ length: fill }, () => stores[0].on(1).later('y'.repeat(300))));
      const toMe = expected(Array.from({ length: fill }, () => stores[1].on(0).later('z'.repeat(300))));
      const apart = stores[1].on(2).echo('apart');
      all.meshes[0].close();
      all.meshes[0].close();
      expect(all.meshes[0].poll()).toBe(0);
      for (const answer of mine) {
        await expect(answer).rejects.toThrow(
          /This shard has ended its cross-shard calls before store\.later\(\)/,
        );
      }
      for (let count = 0; count < 50; count++) await all.turn();
      for (const answer of toMe) await expect(answer).rejects.toEqual(code('SHARD_STOPPED'));
      expect(await apart).toBe('apart');
      expect(all.memories[1].stats().liveBlocks).toBe(0);
      await expect(all.meshes[0].sharded('late', Store)).rejects.toEqual(code('SHARD_STOPPED'));
      await expect(all.meshes[1].sharded('late', Store)).rejects.toEqual(code('SHARD_STOPPED'));
      for (const mesh of all.meshes) mesh.invariants();
    }
  });

  it('drops the answers of calls whose shard has gone', async () => {
    const all = shards();
    const [store, target] = await startService(all, 'store', Store);
    const answer = store.on(1).later(1);
    all.meshes[1].poll();
    all.meshes[0].close();
    await expect(answer).rejects.toEqual(code('SHARD_STOPPED'));
    all.meshes[1].poll();
    target.local.open();
    await all.settle();
    expect(all.meshes[1].stats.served).toBe(1);
  });

  it('needs a number of its own, a control block, and sensible limits', () => {
    const [memory] = shards().memories;
    const make = (options: object) => () =>
      new Mesh({
        shardId: 0,
        control: createControlBlock(2),
        memory,
        peerArenas: [memory.arena, memory.arena],
        wake: vi.fn(),
        ...options,
      });
    expect(make({})).not.toThrow();
    expect(make({ shardId: 2 })).toThrow(code('INVALID_OPTION'));
    expect(make({ maxOutstanding: 0 })).toThrow(code('INVALID_OPTION'));
    expect(make({ maxDepth: 1e6 })).toThrow(code('INVALID_OPTION'));
    expect(make({ control: new SharedArrayBuffer(4096) })).toThrow(code('INVALID_CONTROL_BLOCK'));
  });

  it('shows the words that its thread waits for', async () => {
    const all = shards({ count: 3 });
    const [mesh] = all.meshes;
    const stores = await startService(all, 'store', Store);
    await all.settle();
    const waiting = (): boolean[] => {
      const pairs: boolean[] = [];
      for (let at = 0; at < mesh.watch.length; at += 2) {
        pairs.push(mesh.words[mesh.watch[at]] !== mesh.words[mesh.watch[at + 1]]);
      }
      return pairs;
    };
    expect(waiting()).toEqual([false, false]);
    stores[2].notify(0).record(1);
    await Promise.resolve();
    expect(waiting()).toEqual([false, true]);
    mesh.poll();
    expect(waiting()).toEqual([false, false]);
    expect(mesh.words[mesh.sleepWord]).toBe(0);
    mesh.words[mesh.sleepWord] = 1;
    stores[1].notify(0).record(1);
    await Promise.resolve();
    expect(all.woken).toEqual([0]);
    expect(mesh.words[mesh.sleepWord]).toBe(0);
  });
});
