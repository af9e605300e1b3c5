import { IOBuf } from '@sunstar/iobuf';
import { createArena, ShardMemory } from '@sunstar/runtime';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ReplyWriter } from '../../src/resp/index.ts';
import { type PendingReply, ReplyQueue } from '../../src/server/reply-queue.ts';

const memory = new ShardMemory(createArena(64 * 1024 * 1024));

class TestReply implements PendingReply {
  content: string | null = null;
  bytes(): Uint8Array | null {
    return this.content === null ? null : Buffer.from(this.content);
  }
  fail(): void {}
}

interface Expected {
  readonly text: string;
  readonly position: number;
  readonly pending: TestReply | null;
}

type Step =
  | {
      readonly type: 'batch';
      readonly replies: readonly { size: number; wait: 'none' | 'log' | 'pending' }[];
    }
  | { readonly type: 'arrive'; readonly which: number }
  | { readonly type: 'durable'; readonly by: number }
  | { readonly type: 'fail' };

const replies = fc.array(
  fc.record({
    size: fc.oneof({ weight: 9, arbitrary: fc.nat(40) }, { weight: 1, arbitrary: fc.nat(20_000) }),
    wait: fc.constantFrom('none' as const, 'log' as const, 'pending' as const),
  }),
  { maxLength: 30 },
);
const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 6, arbitrary: fc.record({ type: fc.constant('batch' as const), replies }) },
  { weight: 6, arbitrary: fc.record({ type: fc.constant('arrive' as const), which: fc.nat(50) }) },
  { weight: 4, arbitrary: fc.record({ type: fc.constant('durable' as const), by: fc.nat(5) }) },
  { weight: 1, arbitrary: fc.constant({ type: 'fail' as const }) },
);

const ERROR = '-IOERR lost\r\n';

describe('ReplyQueue', () => {
  it('sends replies in the order of the commands, each not before its time', () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 30 }), (steps) => {
        const queue = new ReplyQueue(memory);
        const output = new IOBuf(memory);
        const writer = new ReplyWriter(memory);
        let model: Expected[] = [];
        let sent = '';
        let durable = 0;
        let committed = 0;
        let serial = 0;

        const release = (): void => {
          queue.release(output, durable);
          let first = model[0];
          while (first !== undefined && first.position <= durable && first.pending?.content !== null) {
            sent += first.pending?.content ?? first.text;
            model.shift();
            first = model[0];
          }
          expect(output.toString('latin1')).toBe(sent);
          queue.invariants();
          output.invariants();
          expect(queue.isEmpty).toBe(model.length === 0);
        };

        for (const action of steps) {
          if (action.type === 'batch') {
            writer.begin(queue.held, 2);
            let mark = 0;
            for (const { size, wait } of action.replies) {
              const text = `${serial++}`.padEnd(size, '.');
              if (wait === 'pending') {
                const pending = new TestReply();
                writer.flush();
                queue.pushPending(pending);
                model.push({ text: '', position: 0, pending });
                continue;
              }
              writer.raw(Buffer.from(text));
              const position = wait === 'log' ? ++committed : 0;
              queue.push(writer.mark() - mark, position);
              mark = writer.mark();
              model.push({ text, position, pending: null });
            }
            writer.flush();
            release();
          } else if (action.type === 'arrive') {
            const open = model.filter(({ pending }) => pending?.content === null);
            const one = open[action.which % Math.max(1, open.length)]?.pending;
            if (one) one.content = `+pending ${serial++}\r\n`;
            release();
          } else if (action.type === 'durable') {
            durable = Math.min(committed, durable + action.by);
            release();
          } else {
            queue.fail(durable, Buffer.from(ERROR));
            model = model.map((entry) =>
              entry.position > durable
                ? { text: ERROR, position: 0, pending: null }
                : { ...entry, position: 0 },
            );
            release();
          }
        }
        queue.dispose();
        output[Symbol.dispose]();
      }),
      { numRuns: 300 },
    );
  });

  it('gives its memory back', () => {
    const before = memory.stats().usedBytes;
    const queue = new ReplyQueue(memory);
    const output = new IOBuf(memory);
    for (let i = 0; i < 100; i++) {
      queue.held.append('x'.repeat(i * 10));
      queue.push(i * 10, i);
      queue.release(output, i - 10);
    }
    queue.dispose();
    output[Symbol.dispose]();
    expect(memory.stats().usedBytes).toBe(before);
  });
});
