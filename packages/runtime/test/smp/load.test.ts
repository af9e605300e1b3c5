import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  freeFractionOf,
  latencyUsOf,
  loadWord,
  queueDepthOf,
  utilisationOf,
} from '../../src/smp/load-word.ts';
import type { TimerWheel } from '../../src/sync/timer-wheel.ts';
import { type Shards, shards } from './shards.ts';

const code = (name: string): unknown => expect.objectContaining({ code: `SUNSTAR_${name}` });

describe('A load word', () => {
  it('keeps each number within what it promises', () => {
    fc.assert(
      fc.property(
        fc.double({ min: 0, max: 1, noNaN: true }),
        fc.double({ min: 0.1, max: 4e8, noNaN: true }),
        fc.integer({ min: 0, max: 1_000_000 }),
        fc.double({ min: 0, max: 1, noNaN: true }),
        (utilisation, latencyUs, depth, free) => {
          const word = loadWord(utilisation, latencyUs, depth, free);
          expect(word | 0).toBe(word);
          expect(Math.abs(utilisationOf(word) - utilisation)).toBeLessThanOrEqual(1 / 252 + 1e-9);
          expect(Math.abs(latencyUsOf(word) / latencyUs - 1)).toBeLessThanOrEqual(0.0225);
          expect(Math.abs(queueDepthOf(word) - depth)).toBeLessThanOrEqual(1 + depth * 0.045);
          if (depth <= 10) expect(queueDepthOf(word)).toBe(depth);
          expect(Math.abs(freeFractionOf(word) - free)).toBeLessThanOrEqual(1 / 510 + 1e-9);
        },
      ),
    );
  });

  it('says what is not known, and stays in its ranges', () => {
    const word = loadWord(Number.NaN, Number.NaN, 0, 1);
    expect([utilisationOf(word), latencyUsOf(word)]).toEqual([Number.NaN, Number.NaN]);
    const extreme = loadWord(7, 0, Number.MAX_VALUE, -1);
    expect([utilisationOf(extreme), freeFractionOf(extreme)]).toEqual([1, 0]);
    expect(latencyUsOf(extreme)).toBeCloseTo(0.1);
  });
});

let wheel: TimerWheel;

class Shelf {
  entries = 0;
  hits = 0;
  readonly #gates: (() => void)[] = [];

  get ratio(): number {
    return this.entries === 0 ? Number.NaN : this.hits / this.entries;
  }
  put(count: number): number {
    this.entries += count;
    return this.entries;
  }
  /** Takes so long on the clock of the test. */
  compute(ms: number): number {
    wheel.advance(wheel.nowMs + ms);
    return ms;
  }
  async wait(): Promise<void> {
    await new Promise<void>((resolve) => this.#gates.push(resolve));
  }
  open(): void {
    for (const gate of this.#gates.splice(0)) gate();
  }
  fail(): never {
    throw new RangeError('no');
  }
}

async function start(count = 2, idleMs?: () => number) {
  const all: Shards = shards({ count, ...(idleMs === undefined ? {} : { idleMs }) });
  wheel = all.wheel;
  const options = { name: 'shelf', fields: ['entries', 'ratio'] };
  const services = await all.until(Promise.all(all.meshes.map((mesh) => mesh.sharded(options, Shelf))));
  return { all, services, local: services[0] };
}

describe('The load of other shards', () => {
  it('comes with answers, with its age, and reading it sends nothing', async () => {
    const { all, local } = await start();
    expect(local.load(1)).toBeUndefined();
    await all.until(local.on(1).compute(8));
    const { sent, served } = all.meshes[0].stats;
    wheel.advance(wheel.nowMs + 100);
    const load = local.load(1);
    expect(load?.serviceLatencyUs).toBeGreaterThan(8000 * 0.97);
    expect(load?.serviceLatencyUs).toBeLessThan(8000 * 1.03);
    expect(load).toMatchObject({ ageMs: 100, queueDepth: 0, utilisation: Number.NaN });
    expect(load?.freeMemoryBytes).toBeGreaterThan(3 * 1024 * 1024);
    await all.settle();
    expect(all.meshes[0].stats).toMatchObject({ sent, served });
    all.check();
  });

  it('smooths latencies, those of failing and of asynchronous methods too', async () => {
    const { all, local, services } = await start();
    await all.until(local.on(1).compute(8));
    for (let call = 0; call < 60; call++) {
      await all.until(local.on(1).compute(2));
      const latencyUs = local.load(1)?.serviceLatencyUs ?? 0;
      expect(latencyUs).toBeLessThan(8200);
      expect(latencyUs).toBeGreaterThan(1950);
    }
    expect(local.load(1)?.serviceLatencyUs).toBeLessThan(2300);
    await expect(all.until(local.on(1).fail())).rejects.toThrow('no');
    expect(local.load(1)?.serviceLatencyUs).toBeLessThan(2000);
    for (let call = 0; call < 40; call++) {
      wheel.advance(wheel.nowMs + 1);
      const waiting = local.on(1).wait();
      await all.settle();
      wheel.advance(wheel.nowMs + 50);
      services[1].local.open();
      await all.until(waiting);
    }
    expect(local.load(1)?.serviceLatencyUs).toBeGreaterThan(45_000);
    expect(services[1].load(1)?.serviceLatencyUs).toBeGreaterThan(45_000);
    all.check();
  });

  it('counts calls that run, and memory that is used', async () => {
    const { all, services, local } = await start();
    const waiting = Array.from({ length: 7 }, () => local.on(1).wait());
    await all.settle();
    const block = all.memories[1].allocate(1024 * 1024);
    wheel.advance(wheel.nowMs + 20);
    await all.until(local.on(1).put(1));
    expect(local.load(1)?.queueDepth).toBe(7);
    expect(services[1].load(1)).toMatchObject({ queueDepth: 7, ageMs: 0, fields: { entries: 1 } });
    expect(local.load(1)?.freeMemoryBytes).toBeLessThan(3.1 * 1024 * 1024);
    all.memories[1].free(block);
    services[1].local.open();
    await all.until(Promise.all(waiting));
    all.check();
  });

  it('knows how busy a shard was', async () => {
    let idleMs = 0;
    const { all, local } = await start(2, () => idleMs);
    wheel.advance(100);
    idleMs = 75;
    await all.until(local.on(1).put(0));
    expect(local.load(1)?.utilisation).toBeCloseTo(0.25, 2);
    wheel.advance(200);
    await all.until(local.on(1).put(0));
    expect(local.load(1)?.utilisation).toBe(1);
  });

  it('brings the numbers that a service declares, when they have changed, to whom they were not told', async () => {
    const { all, services, local } = await start(3);
    expect(local.load(0)?.fields).toEqual({ entries: 0, ratio: Number.NaN });
    await all.until(local.on(1).compute(0));
    expect(local.load(1)?.fields).toEqual({ entries: 0, ratio: Number.NaN });
    services[1].local.hits = 2;
    await all.until(local.on(1).put(4));
    expect(local.load(1)?.fields).toEqual({ entries: 4, ratio: 0.5 });
    expect(services[2].load(1)).toBeUndefined();
    await all.until(services[2].on(1).compute(0));
    expect(services[2].load(1)?.fields).toEqual({ entries: 4, ratio: 0.5 });
    // Also with an answer that nobody waits for any more.
    const controller = new AbortController();
    const late = expect(local.on(1, { signal: controller.signal }).put(1)).rejects.toBe('late');
    await Promise.resolve();
    controller.abort('late');
    await late;
    await all.settle();
    expect(local.load(1)?.fields).toEqual({ entries: 5, ratio: 0.4 });
    all.check();
  });

  it('is not declared with what is no number', async () => {
    const all = shards();
    for (const fields of [['missing'], ['open'], ['entries', 'entries']]) {
      const given = { name: 's', fields };
      await expect(all.meshes[0].sharded(given, Shelf)).rejects.toEqual(code('INVALID_SERVICE'));
    }
    await expect(all.meshes[0].sharded({ name: 's', timeoutMs: -1 }, Shelf)).rejects.toEqual(
      code('INVALID_OPTION'),
    );
  });
});

describe('pickShard', () => {
  /** Numbers that pick the given places of the candidates. */
  function picks(first: number, second: number, count: number): () => number {
    const numbers = [first / count + 1e-9, (second > first ? second - 1 : second) / (count - 1) + 1e-9];
    return () => numbers.shift() as number;
  }

  it('takes the one of two where less waits, by what is known and not too old', async () => {
    const { all, local } = await start(4);
    for (const [shardId, ms] of [
      [1, 10],
      [2, 1],
      [3, 5],
    ]) {
      await all.until(local.on(shardId).compute(ms));
    }
    const pick = (left: number, right: number): number =>
      local.pickShard({ candidates: [1, 2, 3], random: picks(left - 1, right - 1, 3) });
    expect([pick(1, 2), pick(2, 1), pick(1, 3), pick(3, 1), pick(2, 3)]).toEqual([2, 2, 3, 3, 2]);
    // Calls that this shard has sent since count too.
    const waiting = Array.from({ length: 9 }, () => local.on(2).wait());
    expect(pick(2, 3)).toBe(3);
    await all.settle();
    for (const mesh of all.meshes) (mesh.services[0].local as Shelf).open();
    await all.until(Promise.all(waiting));
    wheel.advance(wheel.nowMs + 2000);
    // Too old: nothing is known, and nothing was asked.
    expect([pick(1, 2), pick(2, 1)]).toEqual([1, 2]);
    expect(local.pickShard({ candidates: [3] })).toBe(3);
    expect([0, 1, 2, 3]).toContain(local.pickShard());
    expect(() => local.pickShard({ candidates: [] })).toThrow(code('INVALID_OPTION'));
    expect(() => local.pickShard({ candidates: [9] })).toThrow(code('NO_SUCH_SHARD'));
    all.check();
  });

  it('picks every shard when all are alike', async () => {
    const { all, local } = await start(3);
    await all.settle();
    const seen = new Set(Array.from({ length: 200 }, () => local.pickShard()));
    expect([...seen].sort()).toEqual([0, 1, 2]);
  });
});

describe('A deadline', () => {
  it('that cannot be met by what is known is refused without a message', async () => {
    const { all, local } = await start();
    const limits = { timeoutMs: 5, refuseUnmeetable: true };
    expect(await all.until(local.on(1, limits).put(1))).toBe(1);
    await all.until(local.on(1).compute(20));
    for (let call = 0; call < 60; call++) await all.until(local.on(1).compute(20));
    const { sent } = all.meshes[0].stats;
    await expect(local.on(1, limits).put(1)).rejects.toEqual(code('DEADLINE_UNMEETABLE'));
    await expect(local.on(1, limits).put(1)).rejects.toThrow(/took (19|20)(\.\d)? ms/);
    expect(all.meshes[0].stats.sent).toBe(sent);
    expect(await all.until(local.on(1, { ...limits, timeoutMs: 100 }).put(1))).toBe(2);
    // What is known gets old, and then the shard is given another chance.
    wheel.advance(wheel.nowMs + 1001);
    expect(await all.until(local.on(1, limits).put(1))).toBe(3);
    all.check();
  });
});

describe('A service', () => {
  it('may have a timeout for all of its calls', async () => {
    const all = shards();
    const given = { name: 'shelf', timeoutMs: 30 };
    const [local] = await all.until(Promise.all(all.meshes.map((mesh) => mesh.sharded(given, Shelf))));
    const outcome = expect(local.on(1).wait()).rejects.toEqual(code('CALL_TIMEOUT'));
    const longer = local.on(1, { timeoutMs: 60 }).wait();
    longer.catch(() => {});
    await all.settle();
    all.wheel.advance(30);
    await all.until(outcome);
    (all.meshes[1].services[0].local as Shelf).open();
    await all.until(longer);
    await all.settle();
    all.check();
  });
});
