import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ForeignPtr } from '../../src/smp/foreign-ptr.ts';
import type { Mesh } from '../../src/smp/mesh.ts';
import { type Shards, shards } from './shards.ts';

const code = (name: string): unknown => expect.objectContaining({ code: `SUNSTAR_${name}` });

class Account {
  balance = 0;
  ended = 0;
  add(amount: number): number {
    this.balance += amount;
    return this.balance;
  }
  async fail(): Promise<never> {
    throw new RangeError('no');
  }
  async *history(): AsyncGenerator<number> {
    yield this.balance;
  }
  [Symbol.dispose](): void {
    this.ended++;
  }
}

class Bank {
  readonly accounts: Account[] = [];
  readonly #mesh: Mesh;
  kept: ForeignPtr<Account> | undefined;

  constructor(mesh: Mesh) {
    this.#mesh = mesh;
  }
  open(): ForeignPtr<Account> {
    const account = new Account();
    this.accounts.push(account);
    return this.#mesh.foreign(account);
  }
  keep(pointer: ForeignPtr<Account>): number {
    this.kept = pointer;
    return pointer.owner;
  }
  give(): ForeignPtr<Account> {
    if (this.kept === undefined) throw new RangeError('nothing is kept');
    return this.kept;
  }
  balance(pointer: ForeignPtr<Account>): number {
    using own = pointer;
    return own.get().balance;
  }
  broken(): unknown {
    return [this.open(), () => {}];
  }
}

async function start(count = 3) {
  const all = shards({ count });
  const services = await all.until(Promise.all(all.meshes.map((mesh) => mesh.sharded('bank', Bank, mesh))));
  return { all, services };
}

async function checkClean(all: Shards): Promise<void> {
  await all.settle();
  all.check();
  for (const mesh of all.meshes) expect(mesh.foreignObjects.size).toBe(0);
}

describe('A foreign pointer', () => {
  it('calls the object where it lives, and ends it there when it is disposed of', async () => {
    const { all, services } = await start();
    const pointer = await all.until(services[0].on(1).open());
    const [account] = services[1].local.accounts;
    expect(pointer).toBeInstanceOf(ForeignPtr);
    expect([pointer.owner, pointer.isHeld]).toEqual([1, true]);
    expect(await all.until(pointer.on().add(5))).toBe(5);
    expect(await all.until(pointer.on({ timeoutMs: 10 }).add(2))).toBe(7);
    await expect(all.until(pointer.on().fail())).rejects.toThrow('no');
    await expect(all.until((pointer.on() as unknown as { no(): Promise<void> }).no())).rejects.toEqual(
      code('NO_SUCH_METHOD'),
    );
    await expect(
      all.until((pointer.on() as unknown as { toString(): Promise<string> }).toString()),
    ).rejects.toEqual(code('NO_SUCH_METHOD'));
    const history = (await all.until(pointer.on().history()))[Symbol.asyncIterator]();
    expect(await all.until(history.next())).toEqual({ done: false, value: 7 });
    await all.until(Promise.resolve(history.return?.()));
    expect(() => pointer.get()).toThrow(code('FOREIGN_SHARD'));
    expect(account.ended).toBe(0);
    const { wakeUps } = all.meshes[0].stats;
    all.meshes[1].words[all.meshes[1].sleepWord] = 1;
    pointer[Symbol.dispose]();
    pointer[Symbol.dispose]();
    // The owner is woken for it.
    expect(all.meshes[0].stats.wakeUps).toBe(wakeUps + 1);
    expect(() => pointer.on()).toThrow(code('FOREIGN_POINTER_SPENT'));
    await checkClean(all);
    expect(account).toMatchObject({ balance: 7, ended: 1 });
  });

  it('moves from shard to shard, and home', async () => {
    const { all, services } = await start();
    const pointer = await all.until(services[0].on(1).open());
    expect(await all.until(services[0].on(2).keep(pointer))).toBe(1);
    expect(pointer.isHeld).toBe(false);
    const third = services[2].local.kept as ForeignPtr<Account>;
    expect(await all.until(third.on().add(3))).toBe(3);
    expect(await all.until(services[2].on(1).balance(third))).toBe(3);
    await checkClean(all);
    expect(services[1].local.accounts[0].ended).toBe(1);
  });

  it('is used and ended on its own shard too', async () => {
    const { all, services } = await start();
    const pointer = services[0].local.open();
    expect(await pointer.on().add(4)).toBe(4);
    expect(pointer.get().balance).toBe(4);
    pointer[Symbol.dispose]();
    expect(services[0].local.accounts[0].ended).toBe(1);
    let ended = 0;
    const other = all.meshes[0].foreign({}, () => ended++);
    await all.until(services[0].on(1).keep(other as ForeignPtr<Account>));
    services[1].local.kept?.[Symbol.dispose]();
    await checkClean(all);
    expect(ended).toBe(1);
  });

  it('stays where it is when it cannot be sent', async () => {
    const { all, services } = await start();
    const pointer = services[0].local.open();
    await expect(
      services[0].on(1).keep([pointer, () => {}] as unknown as ForeignPtr<Account>),
    ).rejects.toEqual(code('NOT_CLONEABLE'));
    expect(pointer.isHeld).toBe(true);
    await expect(all.until(services[0].on(1).broken())).rejects.toEqual(code('NOT_CLONEABLE'));
    pointer[Symbol.dispose]();
    await all.settle();
    // The one in the result that could not be sent is nobody's: it waits to be collected.
    expect(all.meshes[1].foreignObjects.size).toBe(1);
  });

  it('ends its object when the shard that has it is gone, also behind another', async () => {
    const { all, services } = await start();
    const first = await all.until(services[0].on(1).open());
    const second = await all.until(services[0].on(1).open());
    await all.until(services[0].on(2).keep(second));
    for (const mesh of all.meshes.slice(0, 2)) mesh.peerGone(2, new Error('crash'));
    await all.turn();
    await all.turn();
    expect(services[1].local.accounts.map(({ ended }) => ended)).toEqual([0, 1]);
    await expect(all.until(first.on().add(1))).resolves.toBe(1);
    all.meshes[1].peerGone(0, new Error('crash'));
    expect(services[1].local.accounts.map(({ ended }) => ended)).toEqual([1, 1]);
  });

  it('always has one holder, and ends its object exactly once, wherever it goes', async () => {
    const step = fc.record({
      kind: fc.constantFrom('open', 'send', 'send', 'use', 'dispose', 'turn'),
      which: fc.nat(5),
      to: fc.nat(2),
    });
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 30 }), async (steps) => {
        const { all, services } = await start();
        const held: { pointer: ForeignPtr<Account>; at: number }[] = [];
        for (const { kind, which, to } of steps) {
          const known = held[which];
          if (kind === 'open') held.push({ pointer: services[to].local.open(), at: to });
          else if (kind === 'turn') await all.turn();
          else if (known === undefined) continue;
          else if (kind === 'dispose') known.pointer[Symbol.dispose]();
          else if (!known.pointer.isHeld) continue;
          else if (kind === 'use') await all.until(known.pointer.on().add(1));
          else if (to !== known.at) {
            await all.until(services[known.at].on(to).keep(known.pointer));
            expect(known.pointer.isHeld).toBe(false);
            held[which] = { pointer: services[to].local.kept as ForeignPtr<Account>, at: to };
          }
        }
        await all.settle();
        const accounts = services.flatMap(({ local }) => local.accounts);
        const live = held.filter(({ pointer }) => pointer.isHeld).length;
        expect(accounts.filter(({ ended }) => ended === 0)).toHaveLength(live);
        for (const { pointer } of held) pointer[Symbol.dispose]();
        await checkClean(all);
        expect(accounts.every(({ ended }) => ended === 1)).toBe(true);
      }),
      { numRuns: 30 },
    );
  });
});
