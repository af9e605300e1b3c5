import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ServiceGroup } from '../../src/smp/service-group.ts';
import { shards, startService } from './shards.ts';

const code = (name: string): unknown => expect.objectContaining({ code: `SUNSTAR_${name}` });

class Slow {
  readonly begun: number[] = [];
  readonly #gates: (() => void)[] = [];

  async work(value: number): Promise<number> {
    this.begun.push(value);
    await new Promise<void>((resolve) => this.#gates.push(resolve));
    return value;
  }
  finish(count = 1): number {
    const gates = this.#gates.splice(0, count);
    for (const gate of gates) gate();
    return gates.length;
  }
  echo(value: unknown): unknown {
    return value;
  }
}

async function start(count = 2) {
  const all = shards({ count });
  const services = await startService(all, 'slow', Slow);
  return { all, services, local: services[0] };
}

describe('ServiceGroup', () => {
  it('lets so many calls to each shard wait for an answer, and the others for room, in order', async () => {
    const { all, services, local } = await start(3);
    const serviceGroup = new ServiceGroup({ name: 'g', maxOutstanding: 2 });
    const answers = [0, 1, 2, 3, 4].map((value) => local.on(1, { serviceGroup }).work(value));
    const elsewhere = local.on(2, { serviceGroup }).work(9);
    await all.settle();
    expect(services[1].local.begun).toEqual([0, 1]);
    expect(services[2].local.begun).toEqual([9]);
    expect(serviceGroup.stats(1)).toEqual({ outstanding: 2, waiting: 3, waited: 3, refused: 0 });
    expect(serviceGroup.stats()).toEqual({ outstanding: 3, waiting: 3, waited: 3, refused: 0 });
    // A call without the group has room of its own.
    expect(await all.until(local.on(1).echo(1))).toBe(1);
    services[1].local.finish(1);
    await all.settle();
    expect(services[1].local.begun).toEqual([0, 1, 2]);
    for (const { local: slow } of services) {
      for (let round = 0; round < 5; round++) {
        slow.finish(1);
        await all.settle();
      }
    }
    expect(await Promise.all([...answers, elsewhere])).toEqual([0, 1, 2, 3, 4, 9]);
    expect(services[1].local.begun).toEqual([0, 1, 2, 3, 4]);
    expect(serviceGroup.stats()).toMatchObject({ outstanding: 0, waiting: 0 });
    all.check();
  });

  it('refuses what it has no room for, if it is told to, and what too many wait for', async () => {
    const { all, services, local } = await start();
    const failing = new ServiceGroup({ name: 'failing', maxOutstanding: 1, onFull: 'fail' });
    const waiting = new ServiceGroup({ name: 'waiting', maxOutstanding: 1, maxWaiting: 1 });
    const answers = [
      local.on(1, { serviceGroup: failing }).work(1),
      local.on(1, { serviceGroup: waiting }).work(2),
      local.on(1, { serviceGroup: waiting }).work(3),
    ];
    for (const serviceGroup of [failing, waiting]) {
      await expect(local.on(1, { serviceGroup }).work(4)).rejects.toEqual(code('SERVICE_GROUP_FULL'));
      expect(serviceGroup.stats(1).refused).toBe(1);
    }
    await all.settle();
    services[1].local.finish(2);
    await all.settle();
    services[1].local.finish(1);
    expect(await all.until(Promise.all(answers))).toEqual([1, 2, 3]);
    all.check();
  });

  it('gives the room of a call that cannot be sent to the next', async () => {
    const { all, services, local } = await start();
    const serviceGroup = new ServiceGroup({ name: 'g', maxOutstanding: 1 });
    const remote = local.on(1, { serviceGroup });
    const first = remote.work(1);
    const odd = expect(remote.echo(() => {})).rejects.toEqual(code('NOT_CLONEABLE'));
    const last = remote.echo('last');
    await all.settle();
    services[1].local.finish();
    expect(await all.until(first)).toBe(1);
    await odd;
    expect(await all.until(last)).toBe('last');
    all.check();
  });

  it('rejects all that wait when the other shard is gone', async () => {
    const { all, local } = await start();
    const serviceGroup = new ServiceGroup({ name: 'g', maxOutstanding: 2 });
    const answers = [1, 2, 3, 4, 5].map((value) => local.on(1, { serviceGroup }).work(value));
    await all.settle();
    all.meshes[0].peerGone(1, new Error('crash'));
    for (const answer of answers) await expect(answer).rejects.toEqual(code('SHARD_STOPPED'));
    expect(serviceGroup.stats(1)).toMatchObject({ outstanding: 0, waiting: 0 });
    all.meshes[0].invariants();
  });

  it('has limits, a name and checks both', () => {
    const group = new ServiceGroup({ name: 'g' });
    expect(group).toMatchObject({ maxOutstanding: 1024, maxWaiting: 16_384, onFull: 'wait' });
    for (const options of [
      { name: '' },
      { name: 'g', maxOutstanding: 0 },
      { name: 'g', maxWaiting: -1 },
      { name: 'g', onFull: 'explode' as 'fail' },
    ]) {
      expect(() => new ServiceGroup(options)).toThrow(code('INVALID_OPTION'));
    }
  });

  it('is a counting semaphore with a queue, in every order of calls, answers, timeouts and aborts', async () => {
    const event = fc.record({
      kind: fc.constantFrom('call', 'call', 'finish', 'abort', 'advance', 'turn'),
      which: fc.nat(12),
    });
    await fc.assert(
      fc.asyncProperty(
        fc.integer({ min: 1, max: 3 }),
        fc.integer({ min: 0, max: 3 }),
        fc.array(event, { maxLength: 40 }),
        async (maxOutstanding, maxWaiting, events) => {
          const { all, services, local } = await start();
          const serviceGroup = new ServiceGroup({ name: 'g', maxOutstanding, maxWaiting });
          const calls: { controller: AbortController; outcome: Promise<unknown>; over: boolean }[] = [];
          let refused = 0;
          for (const { kind, which } of events) {
            if (kind === 'call') {
              const { outstanding, waiting } = serviceGroup.stats(1);
              const mustFail = outstanding === maxOutstanding && waiting === maxWaiting;
              const controller = new AbortController();
              const options = { serviceGroup, signal: controller.signal, timeoutMs: 1 + which };
              const outcome: Promise<unknown> = local.on(1, options).work(calls.length);
              const call = { controller, outcome, over: false };
              call.outcome = call.outcome.then(
                (value) => {
                  call.over = true;
                  return value;
                },
                (error: unknown) => {
                  call.over = true;
                  return error === 'aborted' ? error : (error as { code: string }).code;
                },
              );
              calls.push(call);
              if (mustFail) refused++;
              expect(serviceGroup.stats(1).refused).toBe(refused);
            } else if (kind === 'finish') services[1].local.finish();
            else if (kind === 'abort') calls[which]?.controller.abort('aborted');
            else if (kind === 'advance') all.wheel.advance(all.wheel.nowMs + which / 4);
            else await all.turn();
            serviceGroup.invariants();
          }
          while (serviceGroup.stats(1).outstanding > 0) {
            services[1].local.finish();
            await all.turn();
            serviceGroup.invariants();
          }
          await all.settle();
          expect(calls.every(({ over }) => over)).toBe(true);
          const outcomes = await Promise.all(calls.map(({ outcome }) => outcome));
          expect(outcomes.filter((outcome) => outcome === 'SUNSTAR_SERVICE_GROUP_FULL')).toHaveLength(
            refused,
          );
          // Calls begin in the order in which they were made, and only those that were answered or given up.
          const { begun } = services[1].local;
          expect(begun).toEqual([...begun].sort((left, right) => left - right));
          services[1].local.finish(100);
          await all.settle();
          all.check();
          expect(all.wheel.size).toBe(0);
        },
      ),
      { numRuns: 30 },
    );
  });
});
