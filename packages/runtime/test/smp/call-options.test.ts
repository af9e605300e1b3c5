import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type CallContext, currentCall } from '../../src/smp/served-call.ts';
import { type Shards, shards, startService } from './shards.ts';

const code = (name: string): unknown => expect.objectContaining({ code: `SUNSTAR_${name}` });

interface Running {
  readonly call: CallContext | undefined;
  readonly signal: AbortSignal | undefined;
  finish(value: unknown): void;
}

class Worker {
  readonly running: Running[] = [];

  /** Runs until the test says so. */
  work(signal?: AbortSignal): Promise<unknown> {
    const call = currentCall();
    return new Promise((resolve) => this.running.push({ call, signal, finish: resolve }));
  }
  async untilAborted(signal: AbortSignal): Promise<never> {
    await new Promise((resolve) => signal.addEventListener('abort', resolve));
    throw signal.reason;
  }
  remaining(): number {
    return currentCall()?.remainingMs ?? -1;
  }
  caller(): number {
    return currentCall()?.callerId ?? -1;
  }
  echo(value: unknown): unknown {
    return value;
  }
}

async function start(options: Parameters<typeof shards>[0] = {}) {
  const all = shards(options);
  const services = await startService(all, 'worker', Worker);
  return { all, services, local: services[0], worker: services[1].local };
}

async function checkClean(all: Shards): Promise<void> {
  await all.settle();
  all.check();
  expect(all.wheel.size).toBe(0);
}

describe('A call with a timeout', () => {
  it('is answered in time, and leaves no timer behind', async () => {
    const { all, local } = await start();
    expect(await all.until(local.on(1, { timeoutMs: 50 }).echo('x'))).toBe('x');
    await checkClean(all);
  });

  it('rejects when its time is over, aborts the other side, and drops the late answer', async () => {
    const { all, local, worker } = await start();
    async function ask(): Promise<unknown> {
      // Awaited here, or the caller would not be in the stack.
      const result = await local.on(1, { timeoutMs: 50 }).work();
      return result;
    }
    const answer = ask();
    const outcome = expect(answer).rejects.toEqual(code('CALL_TIMEOUT'));
    await all.settle();
    all.wheel.advance(49);
    const [{ call, finish }] = worker.running;
    expect(call?.remainingMs).toBe(1);
    expect(call?.signal.aborted).toBe(false);
    all.wheel.advance(50);
    await all.settle();
    await outcome;
    await expect(answer).rejects.toThrow(/worker\.work on shard 1 was not answered within 50 ms/);
    expect(((await answer.catch((error: unknown) => error)) as Error).stack).toMatch(/at (async )?ask /);
    expect(call?.signal.aborted).toBe(true);
    expect(call?.signal.reason).toEqual(code('CALL_TIMEOUT'));
    expect(call?.remainingMs).toBe(0);
    expect(all.meshes[0].stats).toMatchObject({ outstanding: 0, givenUp: 1 });
    finish('late');
    await all.settle();
    expect(all.meshes[0].stats).toMatchObject({ outstanding: 0, givenUp: 0 });
    await checkClean(all);
  });

  it('is not started by a shard that gets to it too late', async () => {
    const { all, local, worker } = await start();
    const outcome = expect(local.on(1, { timeoutMs: 20 }).work()).rejects.toEqual(code('CALL_TIMEOUT'));
    all.wheel.advance(20);
    await all.until(outcome);
    await all.settle();
    expect(worker.running).toHaveLength(0);
    await checkClean(all);
  });

  it('does the same on its own shard', async () => {
    const { all, local } = await start();
    const outcome = expect(local.on(0, { timeoutMs: 5 }).work()).rejects.toEqual(code('CALL_TIMEOUT'));
    const [{ call }] = local.local.running;
    expect(call).toMatchObject({ callerId: 0, remainingMs: 5 });
    all.wheel.advance(5);
    await outcome;
    expect(call?.signal.aborted).toBe(true);
    await expect(local.on(0, { signal: AbortSignal.abort('no') }).echo(1)).rejects.toBe('no');
    expect(await local.on(0, { timeoutMs: 5 }).echo(1)).toBe(1);
    await checkClean(all);
  });

  it('tells a method who asks, and for how long', async () => {
    const { all, services } = await start({ count: 3 });
    expect(await all.until(services[2].on(1).caller())).toBe(2);
    expect(await all.until(services[2].on(1).remaining())).toBe(Number.POSITIVE_INFINITY);
    expect(await all.until(services[2].on(1, { timeoutMs: 7 }).remaining())).toBe(7);
    expect(currentCall()).toBeUndefined();
    await checkClean(all);
  });
});

describe('A call with a signal', () => {
  it('rejects with the reason itself, and aborts the other side with a copy of it', async () => {
    const { all, local, worker } = await start();
    const controller = new AbortController();
    const reason = Object.assign(new RangeError('enough'), { detail: 3 });
    const outcome = expect(local.on(1, { signal: controller.signal }).work()).rejects.toBe(reason);
    await all.settle();
    controller.abort(reason);
    await outcome;
    await all.settle();
    const [{ call, finish }] = worker.running;
    expect(call?.signal.reason).toBeInstanceOf(RangeError);
    expect(call?.signal.reason).toMatchObject({ message: 'enough', detail: 3 });
    finish(Buffer.alloc(5000));
    await checkClean(all);
  });

  it('sends nothing when it is aborted already, and does not mind a reason that cannot be sent', async () => {
    const { all, local, worker } = await start();
    const signal = AbortSignal.abort('never mind');
    await expect(local.on(1, { signal }).work()).rejects.toBe('never mind');
    const controller = new AbortController();
    const odd = (): void => {};
    const outcome = expect(local.on(1, { signal: controller.signal }).work()).rejects.toBe(odd);
    await all.settle();
    controller.abort(odd);
    await all.until(outcome);
    await all.settle();
    expect(worker.running).toHaveLength(1);
    expect(worker.running[0].call?.signal.reason).toEqual(code('ABORTED'));
    worker.running[0].finish(1);
    await checkClean(all);
  });

  it('may be aborted by a getter of an argument', async () => {
    const { all, local, worker } = await start();
    const controller = new AbortController();
    const argument = {
      get trap() {
        controller.abort('trapped');
        return 1;
      },
    };
    const outcome = expect(local.on(1, { signal: controller.signal }).echo(argument)).rejects.toBe('trapped');
    await all.until(outcome);
    const refused = {
      get trap() {
        controller.abort('trapped');
        return () => {};
      },
    };
    await expect(local.on(1, { signal: new AbortController().signal }).echo(refused)).rejects.toEqual(
      code('NOT_CLONEABLE'),
    );
    expect(worker.running).toHaveLength(0);
    await checkClean(all);
  });
});

describe('A signal that is an argument', () => {
  it('is aborted on the other side while the call runs, with the reason', async () => {
    const { all, local, worker } = await start();
    const controller = new AbortController();
    const answer = local.on(1).untilAborted(controller.signal);
    const outcome = expect(answer).rejects.toMatchObject({ name: 'TypeError', message: 'why' });
    await all.settle();
    controller.abort(new TypeError('why'));
    await all.until(outcome);
    const second = local.on(1).work(AbortSignal.abort('before'));
    await all.settle();
    expect(worker.running[0].signal).toMatchObject({ aborted: true, reason: 'before' });
    worker.running[0].finish('anyway');
    expect(await all.until(second)).toBe('anyway');
    await checkClean(all);
  });

  it('is forgotten when the call is over', async () => {
    const { all, local, worker } = await start();
    const controller = new AbortController();
    const answer = local.on(1).work(controller.signal);
    await all.settle();
    worker.running[0].finish('done');
    expect(await all.until(answer)).toBe('done');
    await all.settle();
    const { sent } = all.meshes[0].stats;
    controller.abort();
    await all.settle();
    expect(all.meshes[0].stats.sent).toBe(sent);
    expect(worker.running[0].signal?.aborted).toBe(false);
    await checkClean(all);
  });

  it('is aborted when the asking shard is gone', async () => {
    const { all, local, worker } = await start();
    const lost = [local.on(1).work(new AbortController().signal), local.on(1, { timeoutMs: 1000 }).work()];
    for (const call of lost) call.catch(() => {});
    await all.settle();
    all.meshes[1].peerGone(0, new Error('crash'));
    expect(worker.running[0].signal?.reason).toEqual(code('SHARD_STOPPED'));
    expect(worker.running[1].call?.signal.reason).toEqual(code('SHARD_STOPPED'));
  });
});

describe('Options of calls', () => {
  it('are checked', async () => {
    const { local } = await start();
    for (const options of [
      { timeoutMs: 0 },
      { timeoutMs: Number.NaN },
      { window: 0 },
      { refuseUnmeetable: true },
    ]) {
      expect(() => local.on(1, options)).toThrow(code('INVALID_OPTION'));
    }
    expect(() => local.on(1, { signal: {} as AbortSignal })).toThrow(code('INVALID_OPTION'));
    expect(() => local.on(5, {})).toThrow(code('NO_SUCH_SHARD'));
  });

  it('give each call exactly one outcome and leave nothing behind, whatever happens in which order', async () => {
    const event = fc.record({
      kind: fc.constantFrom('call', 'abort', 'advance', 'finish', 'turn', 'poll0', 'poll1'),
      which: fc.nat(20),
      limit: fc.constantFrom('timeout', 'signal', 'both', 'argument'),
      size: fc.constantFrom(1, 3000),
    });
    await fc.assert(
      fc.asyncProperty(fc.constantFrom(2, 128), fc.array(event, { maxLength: 60 }), async (slots, events) => {
        const { all, local, worker } = await start({ slots });
        const calls: { controller: AbortController; outcomes: unknown[] }[] = [];
        for (const { kind, which, limit, size } of events) {
          if (kind === 'call') {
            const controller = new AbortController();
            const outcomes: unknown[] = [];
            const options = {
              ...(limit === 'timeout' || limit === 'both' ? { timeoutMs: 1 + which } : {}),
              ...(limit === 'signal' || limit === 'both' ? { signal: controller.signal } : {}),
            };
            const remote = local.on(1, options);
            const call = limit === 'argument' ? remote.work(controller.signal) : remote.work();
            call.then(
              (value) => outcomes.push((value as Buffer).length),
              (error: unknown) =>
                outcomes.push(error === 'aborted' ? error : (error as { code: string }).code),
            );
            calls.push({ controller, outcomes });
          } else if (kind === 'abort') calls[which]?.controller.abort('aborted');
          else if (kind === 'advance') all.wheel.advance(all.wheel.nowMs + which);
          else if (kind === 'finish') worker.running.splice(which % 3, 1)[0]?.finish(Buffer.alloc(size));
          else if (kind === 'turn') await all.turn();
          else all.meshes[kind === 'poll0' ? 0 : 1].poll();
          for (const mesh of all.meshes) mesh.invariants();
        }
        await all.settle();
        for (const { finish } of worker.running.splice(0)) finish(Buffer.alloc(1));
        await all.settle();
        for (const { outcomes, controller } of calls) {
          expect(outcomes).toHaveLength(1);
          const [outcome] = outcomes;
          expect([1, 3000, 'aborted', 'SUNSTAR_CALL_TIMEOUT']).toContain(outcome);
          if (outcome === 'aborted') expect(controller.signal.aborted).toBe(true);
        }
        await checkClean(all);
      }),
      { numRuns: 60 },
    );
  });
});
