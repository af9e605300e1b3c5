import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { FairTree } from '../../src/scheduling/fair-tree.ts';

const QUOTA_MS = 0.5;
const BURST_MS = 2;
/** Those of what runs in a group itself, among its children. */
const OWN_SHARES = 100;
const ROUNDING = 1e-9;

class Holder {
  shares: number;
  readonly latencySensitive: boolean;

  constructor(shares: number, latencySensitive: boolean) {
    this.shares = shares;
    this.latencySensitive = latencySensitive;
  }
}

/** A tree whose time is counted beside it, by the same names. */
class Model {
  readonly tree = new FairTree(BURST_MS);
  readonly holders: Holder[] = [];
  readonly parents: number[] = [];
  /** What each group ran itself, and with all below it. */
  readonly ownMs: number[] = [];
  readonly allMs: number[] = [];

  add(shares: number, parent = -1, latencySensitive = false): number {
    const id = this.holders.length;
    this.holders.push(new Holder(shares, latencySensitive));
    this.parents.push(parent);
    this.ownMs.push(0);
    this.allMs.push(0);
    this.tree.add(id, this.holders[id], parent);
    return id;
  }

  /** Runs whoever is next. */
  run(ranMs: number): number {
    const id = this.tree.next();
    if (id >= 0) this.charge(id, ranMs);
    return id;
  }

  charge(id: number, ranMs: number): void {
    this.tree.charge(id, ranMs);
    this.ownMs[id] += ranMs;
    for (let at = id; at >= 0; at = this.parents[at]) this.allMs[at] += ranMs;
  }

  children(parent: number): number[] {
    return this.parents.flatMap((of, id) => (of === parent ? [id] : []));
  }

  /** Time by shares of everybody who competes below a node: its children, and what it runs itself. */
  virtualMs(parent: number): { name: string; ms: number; shares: number }[] {
    const all = this.children(parent).map((id) => {
      const { shares } = this.holders[id];
      return { name: `${id}`, ms: this.allMs[id] / shares, shares };
    });
    if (parent >= 0) {
      all.push({ name: `${parent} itself`, ms: this.ownMs[parent] / OWN_SHARES, shares: OWN_SHARES });
    }
    return all;
  }

  reset(): void {
    this.ownMs.fill(0);
    this.allMs.fill(0);
  }
}

const shares = fc.integer({ min: 1, max: 1000 });
const ranMs = fc.double({ min: 0.001, max: QUOTA_MS, noNaN: true });

describe('FairTree', () => {
  test('divides time by shares among siblings, at every level', () => {
    fc.assert(
      fc.property(
        fc.array(fc.tuple(shares, fc.nat()), { minLength: 1, maxLength: 12 }),
        fc.array(ranMs, { minLength: 200, maxLength: 600 }),
        (groups, turns) => {
          const model = new Model();
          for (const [share, parent] of groups) {
            model.add(share, (parent % (model.holders.length + 1)) - 1);
          }
          for (const id of model.holders.keys()) model.tree.activate(id);
          for (const turn of turns) model.run(turn);
          model.tree.invariants();
          for (let parent = -1; parent < groups.length; parent++) {
            const siblings = model.virtualMs(parent);
            const least = Math.min(...siblings.map(({ ms }) => ms));
            // Whoever is ahead was the least when it was chosen, and ran a quota at most since then.
            for (const { name, ms, shares: own } of siblings) {
              expect(ms - least, `${name} below ${parent}`).toBeLessThanOrEqual(QUOTA_MS / own + ROUNDING);
            }
          }
        },
      ),
      { numRuns: 200 },
    );
  });

  test('starves nobody: between two turns of one, each of the others runs its part and a quota at most', () => {
    fc.assert(
      fc.property(
        fc.array(shares, { minLength: 2, maxLength: 8 }),
        fc.array(ranMs, { minLength: 300, maxLength: 600 }),
        (groups, turns) => {
          const model = new Model();
          for (const share of groups) model.tree.activate(model.add(share));
          const since = groups.map(() => groups.map(() => 0));
          let starved: unknown;
          for (const turn of turns) {
            const id = model.run(turn);
            for (const [waiting, ran] of since.entries()) {
              if (waiting === id) ran.fill(0);
              else ran[id] += turn;
              const most = (QUOTA_MS * groups[id]) / groups[waiting] + QUOTA_MS;
              if (ran[id] > most + ROUNDING) starved = { waiting, id, ran: ran[id], most };
            }
          }
          expect(starved).toBeUndefined();
        },
      ),
      { numRuns: 200 },
    );
  });

  test('follows changes of the shares', () => {
    fc.assert(
      fc.property(
        fc.array(fc.array(shares, { minLength: 3, maxLength: 3 }), { minLength: 2, maxLength: 5 }),
        fc.array(ranMs, { minLength: 100, maxLength: 300 }),
        (phases, turns) => {
          const model = new Model();
          for (const share of phases[0]) model.tree.activate(model.add(share));
          for (const phase of phases) {
            for (const [id, share] of phase.entries()) model.holders[id].shares = share;
            model.reset();
            for (const turn of turns) model.run(turn);
            const all = model.virtualMs(-1);
            const spread = Math.max(...all.map(({ ms }) => ms)) - Math.min(...all.map(({ ms }) => ms));
            // What they were apart before, and what they may be apart now.
            const most = (2 * QUOTA_MS) / Math.min(...phase);
            expect(spread).toBeLessThanOrEqual(most + ROUNDING);
          }
        },
      ),
      { numRuns: 100 },
    );
  });

  test('lets nobody save up time by being idle, nor lose any', () => {
    fc.assert(
      fc.property(
        shares,
        shares,
        fc.array(fc.tuple(fc.integer({ min: 1, max: 200 }), fc.boolean(), ranMs), {
          minLength: 2,
          maxLength: 20,
        }),
        (first, second, phases) => {
          const model = new Model();
          model.tree.activate(model.add(first));
          const sleeper = model.add(second);
          for (const [turns, isAwake, turn] of phases) {
            if (isAwake) model.tree.activate(sleeper);
            else model.tree.deactivate(sleeper);
            model.reset();
            for (let i = 0; i < turns; i++) model.run(turn);
            model.tree.invariants();
            if (!isAwake) expect(model.allMs[sleeper]).toBe(0);
            else {
              const [one, other] = model.virtualMs(-1);
              // Twice: where they stood when it woke up, and where they stand now.
              const apart = 2 * (QUOTA_MS / first + QUOTA_MS / second);
              expect(Math.abs(one.ms - other.ms)).toBeLessThanOrEqual(apart + ROUNDING);
            }
          }
        },
      ),
      { numRuns: 200 },
    );
  });

  test('chooses a latency-sensitive group as soon as it wakes up, while it uses less than its part', () => {
    const some = fc.integer({ min: 10, max: 1000 });
    fc.assert(
      fc.property(
        fc.array(some, { minLength: 1, maxLength: 5 }),
        some,
        fc.boolean(),
        fc.array(fc.double({ min: 0, max: BURST_MS, noNaN: true }), { minLength: 5, maxLength: 20 }),
        (others, own, isNested, requests) => {
          const model = new Model();
          for (const share of others) model.tree.activate(model.add(share));
          const parent = isNested ? model.add(own) : -1;
          const urgent = model.add(own, parent, true);
          for (const requestMs of requests) {
            model.tree.activate(urgent);
            expect(model.tree.next()).toBe(urgent);
            model.charge(urgent, requestMs);
            model.tree.deactivate(urgent);
            // The next request comes when the others have had what the shares give them for this one.
            model.reset();
            do model.run(QUOTA_MS);
            while (others.some((share, id) => model.allMs[id] < (requestMs * share) / own));
          }
        },
      ),
      { numRuns: 50 },
    );
  });

  test('gives a latency-sensitive group that wants everything its part and a burst at most', () => {
    fc.assert(
      fc.property(
        fc.array(shares, { minLength: 1, maxLength: 6 }),
        shares,
        fc.array(ranMs, { minLength: 200, maxLength: 500 }),
        (others, own, turns) => {
          const model = new Model();
          for (const share of others) model.tree.activate(model.add(share));
          const urgent = model.add(own, -1, true);
          model.tree.activate(urgent);
          for (const turn of turns) model.run(turn);
          const all = model.virtualMs(-1);
          const least = Math.min(...all.map(({ ms }) => ms));
          expect(all[urgent].ms - least).toBeLessThanOrEqual((BURST_MS + QUOTA_MS) / own + ROUNDING);
          for (const { ms, shares: share } of all.slice(0, -1)) {
            expect(ms - least).toBeLessThanOrEqual(QUOTA_MS / share + ROUNDING);
          }
        },
      ),
      { numRuns: 200 },
    );
  });

  test('has nobody next when nobody has work', () => {
    const model = new Model();
    const outer = model.add(100);
    const inner = model.add(100, outer);
    expect(model.tree.next()).toBe(-1);
    model.tree.activate(inner);
    model.tree.activate(inner);
    expect([model.tree.next(), model.tree.isActive(inner), model.tree.isActive(outer)]).toEqual([
      inner,
      true,
      false,
    ]);
    model.tree.deactivate(inner);
    model.tree.deactivate(inner);
    expect(model.tree.next()).toBe(-1);
    model.tree.invariants();
  });
});
