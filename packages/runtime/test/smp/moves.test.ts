import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { registerTransfer } from '../../src/smp/codec/transfer.ts';
import { shards, startService } from './shards.ts';

const code = (name: string): unknown => expect.objectContaining({ code: `SUNSTAR_${name}` });

const counts = { packed: 0, released: 0, received: 0, dropped: 0 };

/** Something that moves; `poison` makes the other side fail to take it. */
class Cargo implements Disposable {
  readonly poison: boolean;
  readonly #drop: (() => void) | undefined;

  constructor(poison = false, drop?: () => void) {
    this.poison = poison;
    this.#drop = drop;
  }
  [Symbol.dispose](): void {
    this.#drop?.();
  }
}

registerTransfer<Cargo>({
  name: 'Cargo',
  valueClass: Cargo,
  pack(cargo) {
    counts.packed++;
    return { numbers: [cargo.poison ? 1 : 0], sent() {}, release: () => counts.released++ };
  },
  receive([poison], token, lender) {
    if (poison === 1) throw new RangeError('poisoned');
    counts.received++;
    return new Cargo(false, () => {
      counts.dropped++;
      lender.giveBack(token);
    });
  },
});

class Depot {
  readonly kept: Cargo[] = [];
  #gates: (() => void)[] = [];

  keep(...values: unknown[]): number {
    for (const value of values) if (value instanceof Cargo) this.kept.push(value);
    return values.length;
  }
  give(values: unknown[]): unknown[] {
    return values.map((value) =>
      value === 'cargo' ? new Cargo() : value === 'poison' ? new Cargo(true) : value,
    );
  }
  async giveLater(values: unknown[]): Promise<unknown[]> {
    await new Promise<void>((resolve) => this.#gates.push(resolve));
    return this.give(values);
  }
  open(): void {
    for (const gate of this.#gates.splice(0)) gate();
  }
}

const kinds = fc.constantFrom('cargo', 'poison', 'text', 'pattern', 'pair');

function make(kind: string): unknown {
  const shared = new Cargo();
  if (kind === 'cargo') return shared;
  if (kind === 'poison') return new Cargo(true);
  if (kind === 'pattern') return /a+/g;
  if (kind === 'pair') return { first: shared, again: shared, big: BigInt(2) ** 80n };
  return 'x'.repeat(70);
}

async function start() {
  Object.assign(counts, { packed: 0, released: 0, received: 0, dropped: 0 });
  const all = shards();
  const services = await startService(all, 'depot', Depot);
  return { all, local: services[0], depot: services[1].local };
}

describe('Values that move', () => {
  it('all go home when one of the arguments cannot be read', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(kinds, { maxLength: 6 }), async (list) => {
        const { all, local, depot } = await start();
        const call = all.until(local.on(1).keep(...list.map(make)));
        if (list.includes('poison')) {
          await expect(call).rejects.toThrow(/poisoned/);
          expect(depot.kept).toHaveLength(0);
          expect(counts.dropped).toBe(counts.received);
        } else expect(await call).toBe(list.length);
        for (const cargo of depot.kept) cargo[Symbol.dispose]();
        // Those inside of `pair` are not kept.
        const lost = list.includes('poison') ? 0 : list.filter((kind) => kind === 'pair').length;
        await all.settle();
        expect(counts.packed - counts.released).toBe(lost);
        if (lost === 0) all.check();
      }),
      { numRuns: 25 },
    );
  });

  it('all go home when the answer cannot be read, or comes too late', async () => {
    const results = fc.array(fc.constantFrom('cargo', 'poison', 'text'), { maxLength: 5 });
    await fc.assert(
      fc.asyncProperty(results, fc.boolean(), async (list, late) => {
        const { all, local, depot } = await start();
        const controller = new AbortController();
        const call = late
          ? local.on(1, { signal: controller.signal }).giveLater(list)
          : local.on(1).giveLater(list);
        call.catch(() => {});
        await all.settle();
        controller.abort('late');
        depot.open();
        await all.settle();
        if (late) await expect(call).rejects.toBe('late');
        else if (list.includes('poison')) await expect(call).rejects.toThrow(/poisoned/);
        else {
          for (const value of await call) if (value instanceof Cargo) value[Symbol.dispose]();
        }
        await all.settle();
        expect(counts.released).toBe(counts.packed);
        expect(counts.dropped).toBe(counts.received);
        if (late) expect(counts.received).toBe(0);
        all.check();
      }),
      { numRuns: 25 },
    );
  });

  it('go home when the message is not sent, or the answer has nowhere to go', async () => {
    const { all, local, depot } = await start();
    await expect(local.on(1).keep(new Cargo(), () => {})).rejects.toEqual(code('NOT_CLONEABLE'));
    expect(counts).toMatchObject({ packed: 1, released: 1 });
    const answer = local.on(1).giveLater(['cargo']);
    answer.catch(() => {});
    await all.settle();
    all.meshes[1].peerGone(0, new Error('crash'));
    depot.open();
    await all.settle();
    expect(counts).toMatchObject({ packed: 1, released: 1 });
  });
});
