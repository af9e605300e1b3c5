import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { RemoteStream } from '../../src/smp/remote-stream.ts';
import { currentCall } from '../../src/smp/served-call.ts';
import { type Shards, shards, startService } from './shards.ts';

const code = (name: string): unknown => expect.objectContaining({ code: `SUNSTAR_${name}` });

class Numbers {
  produced = 0;
  readonly cleaned: string[] = [];
  #gates: (() => void)[] = [];

  async *count(to: number, fillerBytes = 0): AsyncGenerator<unknown, string> {
    try {
      for (let value = 0; value < to; value++) {
        this.produced++;
        yield fillerBytes === 0 ? value : Buffer.alloc(fillerBytes, value);
      }
      return 'all';
    } finally {
      this.cleaned.push('count');
    }
  }
  /** Each element waits for a gate. */
  async *gated(to: number, signal?: AbortSignal): AsyncGenerator<number> {
    try {
      for (let value = 0; value < to; value++) {
        await new Promise<void>((resolve) => this.#gates.push(resolve));
        signal?.throwIfAborted();
        this.produced++;
        yield value;
      }
    } finally {
      this.cleaned.push('gated');
    }
  }
  open(): number {
    const gates = this.#gates.splice(0);
    for (const gate of gates) gate();
    return gates.length;
  }
  async *failing(after: number): AsyncGenerator<number> {
    for (let value = 0; value < after; value++) yield value;
    throw Object.assign(new RangeError('no more'), { after });
  }
  async *stubborn(): AsyncGenerator<string> {
    try {
      for (;;) {
        try {
          for (;;) yield 'element';
        } catch (error) {
          yield `caught ${String(error)}`;
        }
      }
    } finally {
      this.cleaned.push('stubborn');
    }
  }
  async *badCleanUp(): AsyncGenerator<number> {
    try {
      for (let value = 0; ; value++) yield value;
    } finally {
      // biome-ignore lint/correctness/noUnsafeFinally: what is to be reported.
      throw new TypeError('clean-up failed');
    }
  }
  async *odd(): AsyncGenerator<unknown> {
    try {
      yield 1;
      yield () => {};
    } finally {
      this.cleaned.push('odd');
    }
  }
  async later(to: number): Promise<AsyncGenerator<unknown>> {
    await Promise.resolve();
    return this.count(to);
  }
  nested(): object {
    return { name: 'pair', streams: [this.count(2), this.count(3)] };
  }
  plain(): AsyncIterable<number> {
    let value = 0;
    return {
      [Symbol.asyncIterator]: () => ({ next: async () => ({ done: value === 3, value: value++ }) }),
    } as AsyncIterable<number>;
  }
  async sum(values: AsyncIterable<number>): Promise<number> {
    let sum = 0;
    for await (const value of values) sum += value;
    return sum;
  }
  async first(values: AsyncIterable<number>): Promise<number> {
    for await (const value of values) return value;
    return -1;
  }
  ignore(_values: AsyncIterable<number>): void {}
  async *untilGivenUp(): AsyncGenerator<number> {
    const signal = currentCall()?.signal;
    yield 1;
    while (signal?.aborted === false) await new Promise((resolve) => setImmediate(resolve));
    this.cleaned.push('given up');
  }
}

async function start(options: Parameters<typeof shards>[0] = {}) {
  const all = shards(options);
  const services = await startService(all, 'numbers', Numbers);
  return { all, services, local: services[0], numbers: services[1].local };
}

async function collect<T>(values: AsyncIterable<T> | Promise<AsyncIterable<T>>): Promise<T[]> {
  const seen: T[] = [];
  for await (const value of await values) seen.push(value);
  return seen;
}

async function checkClean(all: Shards): Promise<void> {
  await all.settle();
  all.check();
}

describe('An async iterable of another shard', () => {
  it('is consumed with for await, as a result, a promise of one, and inside of a result', async () => {
    const { all, local, numbers } = await start();
    expect(await all.until(collect(local.on(1).count(5)))).toEqual([0, 1, 2, 3, 4]);
    expect(await all.until(collect(local.on(1).later(2)))).toEqual([0, 1]);
    expect(await all.until(collect(local.on(1).plain()))).toEqual([0, 1, 2]);
    expect(await all.until(collect(local.on(0).count(2)))).toEqual([0, 1]);
    const { streams } = (await all.until(local.on(1).nested())) as { streams: AsyncIterable<number>[] };
    expect(await all.until(Promise.all(streams.map(collect)))).toEqual([
      [0, 1],
      [0, 1, 2],
    ]);
    expect(numbers.cleaned).toHaveLength(4);
    await checkClean(all);
  });

  it('gives what the generator returned to those who ask by hand, in the order of asking', async () => {
    const { all, local } = await start();
    const stream = (await all.until(local.on(1).count(2))) as RemoteStream<number>;
    expect(stream).toBeInstanceOf(RemoteStream);
    const steps = Array.from({ length: 5 }, () => stream.next());
    expect(await all.until(Promise.all(steps))).toEqual([
      { done: false, value: 0 },
      { done: false, value: 1 },
      { done: true, value: 'all' },
      { done: true, value: undefined },
      { done: true, value: undefined },
    ]);
    await checkClean(all);
  });

  it('is asked for no more than its window ahead', async () => {
    const { all, local, numbers } = await start();
    for (const window of [1, 2, 7, 64]) {
      numbers.produced = 0;
      const stream = (await all.until(local.on(1, { window }).count(1000, 200))) as RemoteStream<Buffer>;
      await all.settle();
      expect(numbers.produced).toBe(0);
      for (let taken = 1; taken < 200; taken++) {
        const step = await all.until(stream.next());
        expect((step.value as unknown as Buffer)[0]).toBe((taken - 1) & 255);
        await all.settle();
        expect(numbers.produced).toBeLessThanOrEqual(taken + window);
        expect(numbers.produced).toBeGreaterThanOrEqual(taken + Math.floor(window / 2) - 1);
        stream.invariants();
      }
      await all.until(stream.return());
      expect(numbers.cleaned.pop()).toBe('count');
    }
    await checkClean(all);
  });

  it('runs the generator’s finally when the consumer leaves early, and waits for it', async () => {
    const { all, local, numbers } = await start();
    async function firstTwo(): Promise<number[]> {
      const seen: number[] = [];
      for await (const value of (await local.on(1).count(100)) as AsyncIterable<number>) {
        seen.push(value);
        if (seen.length === 2) break;
      }
      expect(numbers.cleaned).toEqual(['count']);
      return seen;
    }
    expect(await all.until(firstTwo())).toEqual([0, 1]);
    await checkClean(all);
    const untouched = (await all.until(local.on(1).count(3))) as RemoteStream<number>;
    await all.until(untouched[Symbol.asyncDispose]());
    expect(await untouched.next()).toEqual({ done: true, value: undefined });
    await checkClean(all);
  });

  it('throws what the generator throws, with its class, after what came before', async () => {
    const { all, local } = await start();
    const seen: unknown[] = [];
    async function consume(): Promise<void> {
      for await (const value of await local.on(1).failing(3)) seen.push(value);
    }
    await expect(all.until(consume())).rejects.toMatchObject({ name: 'RangeError', after: 3 });
    const error = (await all.until(
      collect(local.on(1).failing(0)).catch((thrown: unknown) => thrown),
    )) as Error;
    expect(error).toBeInstanceOf(RangeError);
    expect(error.stack).toMatch(/failing[\s\S]*at shard 1 \(async iterable\)/);
    expect(seen).toEqual([0, 1, 2]);
    await checkClean(all);
  });

  it('has errors thrown into it, whatever the generator makes of them', async () => {
    const { all, local, numbers } = await start();
    const stream = (await all.until(local.on(1).count(50))) as RemoteStream<number>;
    await all.until(stream.next());
    await expect(all.until(stream.throw(new TypeError('stop')))).rejects.toThrow(new TypeError('stop'));
    expect(numbers.cleaned.splice(0)).toEqual(['count']);
    const rude = (await all.until(local.on(1).stubborn())) as RemoteStream<string>;
    await all.until(rude.next());
    expect(await all.until(rude.throw('x'))).toEqual({ done: true, value: undefined });
    expect(numbers.cleaned).toEqual(['stubborn']);
    const unstarted = (await all.until(local.on(1).count(5))) as RemoteStream<number>;
    await expect(unstarted.throw('y')).rejects.toBe('y');
    await expect(unstarted.throw('z')).rejects.toBe('z');
    await checkClean(all);
  });

  it('reports errors of the clean-up to who left', async () => {
    const { all, local } = await start();
    const stream = (await all.until(local.on(1).badCleanUp())) as RemoteStream<number>;
    await all.until(stream.next());
    await expect(all.until(stream.return())).rejects.toThrow(new TypeError('clean-up failed'));
    await checkClean(all);
  });

  it('ends with a coded error at an element that cannot be sent', async () => {
    const { all, local, numbers } = await start();
    await expect(all.until(collect(local.on(1).odd()))).rejects.toEqual(code('NOT_CLONEABLE'));
    expect(numbers.cleaned).toEqual(['odd']);
    await checkClean(all);
  });

  it('ends with a coded error when its shard is gone, after what has arrived', async () => {
    const { all, local } = await start();
    const stream = (await all.until(local.on(1, { window: 4 }).count(100))) as RemoteStream<number>;
    await all.until(stream.next());
    await all.settle();
    const arrived = stream.buffered;
    expect(arrived).toBeGreaterThan(0);
    const crash = new Error('crash');
    all.meshes[0].peerGone(1, crash);
    for (let value = 1; value <= arrived; value++) {
      expect(await stream.next()).toEqual({ done: false, value });
    }
    await expect(stream.next()).rejects.toMatchObject({ code: 'SUNSTAR_SHARD_STOPPED', cause: crash });
    expect(await stream.next()).toEqual({ done: true, value: undefined });
    expect(await stream.return()).toEqual({ done: true, value: undefined });
  });

  it('is cleaned up when the consuming shard is gone, or closes', async () => {
    for (const how of ['crash', 'close'] as const) {
      const { all, local, numbers } = await start();
      const stream = (await all.until(local.on(1).count(100))) as RemoteStream<number>;
      await all.until(stream.next());
      const waiting = stream.next();
      if (how === 'crash') all.meshes[1].peerGone(0, new Error('crash'));
      else all.meshes[0].close();
      await all.settle();
      expect(numbers.cleaned).toEqual(['count']);
      await waiting.catch(() => {});
      expect(all.meshes[1].stats.blocksAway).toBe(0);
    }
  });

  it('goes on listening to the signal of its call until it is over', async () => {
    const { all, local, numbers } = await start();
    const controller = new AbortController();
    const stream = (await all.until(local.on(1).gated(5, controller.signal))) as RemoteStream<number>;
    const first = stream.next();
    await all.settle();
    numbers.open();
    expect(await all.until(first)).toEqual({ done: false, value: 0 });
    const second = expect(stream.next()).rejects.toThrow(/enough/);
    await all.settle();
    controller.abort(new Error('enough'));
    await all.settle();
    numbers.open();
    await all.until(second);
    expect(numbers.cleaned).toEqual(['gated']);
    await checkClean(all);
  });

  it('may be an argument', async () => {
    const { all, local, services } = await start();
    const here = services[0].local;
    expect(await all.until(local.on(1).sum(here.count(10) as AsyncGenerator<number>))).toBe(45);
    expect(await all.until(local.on(1).first(here.count(10) as AsyncGenerator<number>))).toBe(0);
    expect(await all.until(local.on(1).sum(here.plain()))).toBe(3);
    expect(here.cleaned).toEqual(['count', 'count']);
    await expect(all.until(local.on(1).sum(here.failing(2)))).rejects.toThrow(/^no more$/);
    await expect(
      local.on(1).sum([here.count(2), () => {}] as unknown as AsyncIterable<number>),
    ).rejects.toEqual(code('NOT_CLONEABLE'));
    await checkClean(all);
  });

  it('is let go of when nobody wants the answer that has it', async () => {
    const { all, local, numbers } = await start();
    const controller = new AbortController();
    const outcome = expect(local.on(1, { signal: controller.signal }).later(3)).rejects.toBe('no');
    all.meshes[1].poll();
    controller.abort('no');
    await all.until(outcome);
    await checkClean(all);
    local.notify(1).count(3);
    await checkClean(all);
    expect(numbers.produced).toBe(0);
  });
});

describe('A stream of another shard', () => {
  it('delivers what was produced, in order, and cleans up, in every order of events', async () => {
    const event = fc.constantFrom(
      'next',
      'next',
      'open',
      'open',
      'poll0',
      'poll1',
      'turn',
      'return',
      'throw',
    );
    await fc.assert(
      fc.asyncProperty(
        fc.constantFrom(1, 2, 5),
        fc.nat(12),
        fc.constantFrom('none', 'crash producer', 'crash consumer'),
        fc.array(event, { maxLength: 50 }),
        async (window, length, crash, events) => {
          const { all, local, numbers } = await start({ slots: 4 });
          const stream = (await all.until(local.on(1, { window }).gated(length))) as RemoteStream<number>;
          const outcomes: Promise<unknown>[] = [];
          let left = false;
          for (const kind of events) {
            if (kind === 'next') outcomes.push(stream.next());
            else if (kind === 'open') numbers.open();
            else if (kind === 'turn') await all.turn();
            else if (kind === 'poll0') all.meshes[0].poll();
            else if (kind === 'poll1') all.meshes[1].poll();
            else {
              left = true;
              outcomes.push(kind === 'return' ? stream.return() : stream.throw(new Error('thrown')));
            }
            for (const outcome of outcomes) outcome.catch(() => {});
            stream.invariants();
            expect(stream.buffered).toBeLessThanOrEqual(window);
          }
          const begun = outcomes.length > 0;
          if (crash === 'crash producer') all.meshes[0].peerGone(1, new Error('crash'));
          if (crash === 'crash consumer') all.meshes[1].peerGone(0, new Error('crash'));
          if (crash === 'none') {
            if (!left) outcomes.push(stream.return());
            for (const outcome of outcomes) outcome.catch(() => {});
          }
          for (let round = 0; round < 20; round++) {
            numbers.open();
            await all.turn();
            await all.turn();
          }
          if (crash === 'crash consumer') all.meshes[0].peerGone(1, new Error('crash'));
          const settled = await Promise.allSettled(outcomes);
          const values: unknown[] = [];
          for (const outcome of settled) {
            if (outcome.status === 'rejected') {
              expect(
                (outcome.reason as Error).message === 'thrown' ||
                  (outcome.reason as { code: string }).code === 'SUNSTAR_SHARD_STOPPED',
              ).toBe(true);
            } else {
              const step = outcome.value as IteratorResult<unknown>;
              if (step.done !== true) values.push(step.value);
            }
          }
          expect(values).toEqual(values.map((_, index) => index));
          expect(numbers.produced).toBeGreaterThanOrEqual(values.length);
          if (begun && numbers.produced > 0 && crash !== 'crash producer')
            expect(numbers.cleaned).toEqual(['gated']);
          if (crash === 'none') await checkClean(all);
        },
      ),
      { numRuns: 40 },
    );
  });
});
