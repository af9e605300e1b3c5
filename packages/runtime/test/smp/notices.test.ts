import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { shards, startService } from './shards.ts';

// One-way messages for the same method that follow each other share slots of the ring.

class Log {
  readonly seen: unknown[][] = [];
  /** Called while a message is handled. */
  during: ((args: readonly unknown[]) => void) | undefined;

  note(...args: unknown[]): void {
    this.#add('note', args);
  }
  mark(...args: unknown[]): void {
    this.#add('mark', args);
  }
  ask(value: number): number {
    this.#add('ask', [value]);
    return value;
  }

  #add(method: string, args: readonly unknown[]): void {
    this.seen.push([method, ...args]);
    this.during?.(args);
  }
}

const value = fc.oneof(
  fc.integer(),
  fc.double({ noNaN: true }),
  fc.string({ maxLength: 20 }),
  fc.constantFrom(undefined, null, true),
);
const step = fc.oneof(
  { weight: 8, arbitrary: fc.record({ do: fc.constant('note'), args: fc.array(value, { maxLength: 4 }) }) },
  { weight: 4, arbitrary: fc.record({ do: fc.constant('mark'), args: fc.array(value, { maxLength: 2 }) }) },
  { weight: 6, arbitrary: fc.record({ do: fc.constant('ask'), args: fc.tuple(fc.integer()) }) },
  // Too long for a slot, or even for the ring.
  { weight: 1, arbitrary: fc.record({ do: fc.constant('long'), args: fc.tuple(fc.nat(400)) }) },
  // A block goes home in between.
  { weight: 1, arbitrary: fc.record({ do: fc.constant('give way'), args: fc.tuple() }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('turn'), args: fc.tuple() }) },
);

describe('One-way messages', () => {
  it('arrive once each, with their arguments, in their order among calls, whatever slots they share', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.constantFrom(2, 8, 1024),
        fc.array(step, { maxLength: 150 }),
        async (slots, steps) => {
          const all = shards({ slots });
          const [log, target] = await startService(all, 'log', Log);
          const oneWay = log.notify(1);
          const expected: unknown[][] = [];
          const answers: Promise<unknown>[] = [];
          for (const { do: action, args } of steps) {
            if (action === 'note' || action === 'mark') {
              oneWay[action](...args);
              expected.push([action, ...args]);
            } else if (action === 'ask') {
              answers.push(log.on(1).ask(args[0]));
              expected.push(['ask', ...args]);
            } else if (action === 'long') {
              oneWay.note('x'.repeat(args[0]));
              expected.push(['note', 'x'.repeat(args[0])]);
            } else if (action === 'turn') await all.turn();
            else await Promise.resolve();
          }
          await all.until(Promise.all(answers));
          await all.settle();
          expect(target.local.seen).toEqual(expected);
          expect(all.meshes[0].stats.sent).toBe(expected.length);
          all.check();
        },
      ),
      { numRuns: 300 },
    );
  });

  it('go on after one of them has failed', async () => {
    const all = shards();
    const [log, target] = await startService(all, 'log', Log);
    target.local.during = ([first]) => {
      if (first === 3) throw new RangeError('three');
    };
    const reported: unknown[] = [];
    const listeners = process.listeners('unhandledRejection');
    process.removeAllListeners('unhandledRejection');
    process.on('unhandledRejection', (reason) => reported.push((reason as Error).cause));
    try {
      for (let index = 0; index < 8; index++) log.notify(1).note(index);
      await all.settle();
      await new Promise((resolve) => setImmediate(resolve));
    } finally {
      process.removeAllListeners('unhandledRejection');
      for (const listener of listeners) process.on('unhandledRejection', listener);
    }
    expect(target.local.seen.map(([, index]) => index)).toEqual([0, 1, 2, 3, 4, 5, 6, 7]);
    expect(reported).toEqual([new RangeError('three')]);
  });

  it('go on after one of them has had the rest of a shard that is gone read', async () => {
    const all = shards({ count: 3 });
    const [first, second, third] = await startService(all, 'log', Log);
    for (let index = 0; index < 8; index++) first.notify(2).note(index, 'first');
    for (let index = 0; index < 3; index++) second.notify(2).mark(index);
    await Promise.resolve();
    third.local.during = ([index, who]) => {
      if (index === 4 && who === 'first') all.meshes[2].peerGone(1, new Error('gone'));
    };
    await all.settle();
    const notes = third.local.seen.filter(([method]) => method === 'note');
    expect(notes).toEqual(Array.from({ length: 8 }, (_, index) => ['note', index, 'first']));
    expect(third.local.seen).toHaveLength(11);
  });

  it('end with the mesh that one of them closes', async () => {
    const all = shards();
    const [log, target] = await startService(all, 'log', Log);
    target.local.during = ([index]) => {
      if (index === 2) all.meshes[1].close();
    };
    for (let index = 0; index < 8; index++) log.notify(1).note(index);
    await all.settle();
    expect(target.local.seen).toHaveLength(3);
  });

  it('that share a slot are handled together, and count', async () => {
    const all = shards({ messagesPerPeer: 4, messagesPerPoll: 4 });
    const [log, target] = await startService(all, 'log', Log);
    for (let index = 0; index < 1000; index++) log.notify(1).note(true);
    await Promise.resolve();
    const handled = all.meshes[1].poll();
    expect(handled).toBe(target.local.seen.length);
    expect(handled).toBeGreaterThan(4);
    expect(handled).toBeLessThan(4 + 32);
    await all.settle();
    expect(target.local.seen).toHaveLength(1000);
  });
});
