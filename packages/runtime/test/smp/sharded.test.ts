import { describe, expect, expectTypeOf, it, vi } from 'vitest';
import { shards, startService } from './shards.ts';

class Base {
  readonly log: string[] = [];
  inherited(): string {
    return 'inherited';
  }
  overridden(): string {
    return 'base';
  }
}

class Counter extends Base {
  #counts = new Map<string, number>();
  readonly step: number;
  readonly arrow = (by: number): number => by * this.step;
  stopped = 0;

  constructor(step = 1) {
    super();
    this.step = step;
  }
  static helper(): string {
    return 'static';
  }
  get size(): number {
    return this.#counts.size;
  }
  increment(key: string, by: number = this.step): number {
    const count = (this.#counts.get(key) ?? 0) + by;
    this.#counts.set(key, count);
    return count;
  }
  async total(): Promise<number> {
    return [...this.#counts.values()].reduce((sum, count) => sum + count, 0);
  }
  override overridden(): string {
    return 'counter';
  }
  fail(): never {
    throw new RangeError('failed');
  }
  async stop(): Promise<void> {
    this.stopped++;
  }
  __proto__(): string {
    return 'odd name';
  }
}

const code = (name: string): unknown => expect.objectContaining({ code: `SUNSTAR_${name}` });

describe('Sharded', () => {
  it('has an instance on every shard and calls it there', async () => {
    const all = shards({ count: 3 });
    const counters = await startService(all, 'counters', Counter, 2);
    expect(await all.until(counters[0].on(1).increment('a'))).toBe(2);
    expect(await all.until(counters[2].on(1).increment('a', 5))).toBe(7);
    expect(counters[1].local.size).toBe(1);
    expect(counters[0].local.size).toBe(0);
    expect(await all.until(counters[0].on(1).inherited())).toBe('inherited');
    expect(await all.until(counters[0].on(1).overridden())).toBe('counter');
    expect(await all.until(counters[0].on(1).arrow(4))).toBe(8);
    const methods = new Map(Object.entries(counters[0].on(1))) as Map<string, () => Promise<unknown>>;
    expect(await all.until(methods.get('__proto__')?.() ?? Promise.resolve())).toBe('odd name');
    expect(counters[0].on(1)).toBe(counters[0].on(1));
    expect(Object.keys(counters[0].on(1)).sort()).toEqual(
      ['__proto__', 'arrow', 'fail', 'increment', 'inherited', 'overridden', 'stop', 'total'].sort(),
    );
    expectTypeOf(counters[0].on(1).increment).toEqualTypeOf<(key: string, by?: number) => Promise<number>>();
    expectTypeOf(counters[0].on(1).total).toEqualTypeOf<() => Promise<number>>();
    expectTypeOf(counters[0].onAll.total).toEqualTypeOf<() => Promise<number[]>>();
    expectTypeOf(counters[0].notify(1).total).toEqualTypeOf<() => void>();
    expectTypeOf<keyof ReturnType<(typeof counters)[0]['on']>>().not.toEqualTypeOf<'step'>();
    all.check();
  });

  it('calls itself without a message, always with a promise', async () => {
    const all = shards();
    const [counters] = await startService(all, 'counters', Counter);
    const before = all.meshes[0].stats.sent;
    const answer = counters.on(0).increment('a');
    expect(answer).toBeInstanceOf(Promise);
    expect(await answer).toBe(1);
    const failed = counters.on(0).fail();
    await expect(failed).rejects.toThrow(new RangeError('failed'));
    expect(all.meshes[0].stats.sent).toBe(before);
  });

  it('works on a single shard', async () => {
    const all = shards({ count: 1 });
    const [counters] = await startService(all, 'counters', Counter);
    expect(await counters.onAll.increment('a')).toEqual([1]);
    expect(await counters.onOthers.increment('a')).toEqual([]);
    expect(all.meshes[0].poll()).toBe(0);
  });

  it('gathers from all and from the others in the order of the shards', async () => {
    const all = shards({ count: 4 });
    const counters = await startService(all, 'counters', Counter);
    const by = await all.until(counters[1].map((remote, shard) => remote.increment('k', shard + 1)));
    expect(by).toEqual([1, 2, 3, 4]);
    expect(await all.until(counters[1].onAll.total())).toEqual([1, 2, 3, 4]);
    expect(await all.until(counters[1].onOthers.total())).toEqual([1, 3, 4]);
    expect(await all.until(counters[2].mapReduce('total', 0, (sum, value) => sum + value))).toBe(10);
    const text = counters[3].mapReduce(
      (remote) => remote.total(),
      '',
      (joined, value, shard) => `${joined}${shard}:${value} `,
    );
    expect(await all.until(text)).toBe('0:1 1:2 2:3 3:4 ');
    await all.until(expect(counters[0].onAll.fail()).rejects.toThrow(new RangeError('failed')));
    const some = counters[0].map((remote, shard) => {
      if (shard === 2) throw new TypeError('only here');
      return remote.total();
    });
    await all.until(expect(some).rejects.toThrow(new TypeError('only here')));
    all.check();
  });

  it('sees methods that an instance replaces', async () => {
    const all = shards();
    const [counters, target] = await startService(all, 'counters', Counter);
    const spy = vi.spyOn(target.local, 'increment').mockReturnValue(42);
    expect(await all.until(counters.on(1).increment('x'))).toBe(42);
    expect(spy).toHaveBeenCalledWith('x');
  });

  it('refuses shards that there are not', async () => {
    const all = shards();
    const [counters] = await startService(all, 'counters', Counter);
    for (const shard of [-1, 2, 0.5, Number.NaN]) {
      expect(() => counters.on(shard)).toThrow(code('NO_SUCH_SHARD'));
      expect(() => counters.notify(shard)).toThrow(code('NO_SUCH_SHARD'));
    }
  });

  it('refuses a method that another shard does not have', async () => {
    const all = shards();
    class Older {
      inherited(): string {
        return 'older';
      }
    }
    const [counters] = await all.until(
      Promise.all([all.meshes[0].sharded('counters', Counter), all.meshes[1].sharded('counters', Older)]),
    );
    expect(await all.until(counters.on(1).inherited())).toBe('older');
    await expect(counters.on(1).total()).rejects.toEqual(code('NO_SUCH_METHOD'));
    expect(() => counters.notify(1).total()).toThrow(code('NO_SUCH_METHOD'));
  });

  it('resolves when all have started, in whatever order each starts its services', async () => {
    const all = shards({ count: 3 });
    class A {
      name(): string {
        return 'a';
      }
    }
    class B {
      name(): string {
        return 'b';
      }
    }
    const first = all.meshes[0].sharded('a', A);
    let settled = false;
    void first.then(() => {
      settled = true;
    });
    const rest = [
      all.meshes[1].sharded('b', B),
      all.meshes[1].sharded('a', A),
      all.meshes[2].sharded('b', B),
    ];
    await all.settle();
    expect(settled).toBe(false);
    const last = [all.meshes[2].sharded('a', A), all.meshes[0].sharded('b', B)];
    const services = await all.until(Promise.all([first, ...rest, ...last]));
    for (const service of services) expect(await all.until(service.on(2).name())).toBe(service.name);
    expect(all.meshes[0].services.map((service) => service.name)).toEqual(['a', 'b']);
  });

  it('names the shards that never start a service', async () => {
    const all = shards({ count: 3, serviceTimeoutMs: 20 });
    const waiting = all.meshes[0].sharded('lonely', Counter);
    void all.meshes[2].sharded('lonely', Counter).catch(() => {});
    await expect(all.until(waiting)).rejects.toThrow(
      /Service 'lonely' did not start on shard 1 within 20 ms/,
    );
    await expect(waiting).rejects.toEqual(code('SERVICE_TIMEOUT'));
  });

  it('stops waiting for a shard that is gone, or when its own stops', async () => {
    const all = shards({ count: 3 });
    const crash = new Error('crash');
    const waiting = all.meshes[0].sharded('s', Counter);
    all.meshes[0].peerGone(2, crash);
    await expect(waiting).rejects.toMatchObject({ code: 'SUNSTAR_SHARD_STOPPED', cause: crash });
    const other = all.meshes[1].sharded('s', Counter);
    all.meshes[1].close();
    await expect(other).rejects.toEqual(code('SHARD_STOPPED'));
  });

  it('refuses names that are taken or empty, and classes that look like promises', async () => {
    const all = shards({ count: 1 });
    const [mesh] = all.meshes;
    await mesh.sharded('one', Counter);
    await expect(mesh.sharded('one', Counter)).rejects.toEqual(code('SERVICE_EXISTS'));
    await expect(mesh.sharded('', Counter)).rejects.toEqual(code('INVALID_SERVICE'));
    class Thenable {
      // biome-ignore lint/suspicious/noThenProperty: what must be refused.
      then(): void {}
    }
    await expect(mesh.sharded('promise', Thenable)).rejects.toEqual(code('INVALID_SERVICE'));
    class Broken {
      constructor() {
        throw new RangeError('no disk');
      }
    }
    await expect(mesh.sharded('broken', Broken)).rejects.toThrow(new RangeError('no disk'));
    expect(mesh.services.map((service) => service.name)).toEqual(['one']);
  });

  it('stops its own instance, once', async () => {
    const all = shards();
    const [counters, other] = await startService(all, 'counters', Counter);
    await Promise.all([counters.stop(), counters.stop()]);
    expect(counters.local.stopped).toBe(1);
    expect(other.local.stopped).toBe(0);
    const bare = shards({ count: 1 });
    const [plain] = await startService(bare, 'plain', Base);
    await plain.stop();
  });

  it('adds both ends of a failed call to the stack', async () => {
    const all = shards();
    const [counters] = await startService(all, 'counters', Counter);
    async function callingFunction(): Promise<void> {
      await counters.on(1).fail();
    }
    let stack = '';
    await all.until(
      callingFunction().catch((error: Error) => {
        stack = error.stack ?? '';
      }),
    );
    const lines = stack.split('\n');
    expect(lines[0]).toBe('RangeError: failed');
    expect(lines[1]).toMatch(/^ {4}at Counter\.fail .*sharded\.test\.ts/);
    const border = lines.indexOf('    at shard 1 (counters.fail)');
    expect(border).toBe(2);
    expect(lines[border + 1]).toMatch(/^ {4}at (async )?callingFunction .*sharded\.test\.ts/);
  });
});
