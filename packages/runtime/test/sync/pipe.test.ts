import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { Pipe } from '../../src/sync/pipe.ts';
import { flush, Trace } from './steps.ts';

type Step = 'write' | 'tryWrite' | 'read' | 'tryRead' | 'end' | 'fail' | 'closeReader';
const CAPACITY = 2;

/** Compares with lists of values, after everything that a step starts has come to rest. */
async function compare(steps: readonly Step[]): Promise<void> {
  const pipe = new Pipe<number>({ capacity: CAPACITY });
  const trace = new Trace();
  const expected: string[] = [];
  const values: number[] = [];
  const writers: number[] = [];
  const readers: number[] = [];
  let writerEnd: 'closed' | 'failed' | undefined;
  let isReaderClosed = false;
  const isEnded = (): boolean => writerEnd !== undefined || isReaderClosed;
  const writeError = (): string => (isReaderClosed ? 'PIPE_BROKEN' : 'PIPE_CLOSED');
  const readEnd = (id: number): string => {
    if (isReaderClosed) return `-${id} PIPE_CLOSED`;
    return writerEnd === 'failed' ? `-${id} PIPE_FAILED` : `+${id}`;
  };
  const modelWrite = (id: number): boolean => {
    if (isEnded() || values.length === CAPACITY) return false;
    const reader = readers.shift();
    if (reader === undefined) values.push(id);
    else expected.push(`+${reader} ${id}`);
    return true;
  };
  const modelRead = (): number | undefined => {
    const value = values.shift();
    const writer = value === undefined ? undefined : writers.shift();
    if (writer !== undefined) {
      values.push(writer);
      expected.push(`+${writer}`);
    }
    return value;
  };
  const settleAll = (): void => {
    for (const id of writers.splice(0)) expected.push(`-${id} ${writeError()}`);
    for (const id of readers.splice(0)) expected.push(readEnd(id));
  };

  for (const [id, step] of steps.entries()) {
    switch (step) {
      case 'write':
        trace.observe(id, pipe.writer.write(id));
        if (modelWrite(id)) expected.push(`+${id}`);
        else if (isEnded()) expected.push(`-${id} ${writeError()}`);
        else writers.push(id);
        break;
      case 'tryWrite':
        expect(pipe.writer.tryWrite(id)).toBe(modelWrite(id));
        break;
      case 'read': {
        trace.observe(id, pipe.reader.read());
        const value = modelRead();
        if (value !== undefined) expected.push(`+${id} ${value}`);
        else if (isEnded()) expected.push(readEnd(id));
        else readers.push(id);
        break;
      }
      case 'tryRead':
        expect(pipe.reader.tryRead()).toBe(modelRead());
        break;
      case 'end':
      case 'fail':
        if (!isEnded()) writerEnd = step === 'end' ? 'closed' : 'failed';
        settleAll();
        if (step === 'end') pipe.writer.close();
        else pipe.writer.fail(new Error('why'));
        break;
      case 'closeReader':
        isReaderClosed = true;
        values.length = 0;
        settleAll();
        pipe.reader.close();
        break;
    }
    pipe.reader.invariants();
    expect(pipe.reader.size).toBe(values.length);
    await flush();
    expect([...trace.lines].sort()).toEqual([...expected].sort());
  }
}

describe('Pipe', () => {
  test('does what the model does', async () => {
    const step = fc.oneof(
      { weight: 5, arbitrary: fc.constantFrom<Step>('write', 'read') },
      { weight: 2, arbitrary: fc.constantFrom<Step>('tryWrite', 'tryRead') },
    );
    const end = fc.constantFrom<Step>('end', 'fail', 'closeReader');
    await fc.assert(
      fc.asyncProperty(
        fc.array(step, { maxLength: 20 }),
        fc.array(fc.oneof({ weight: 3, arbitrary: step }, { weight: 1, arbitrary: end }), { maxLength: 10 }),
        (before, after) => compare([...before, ...after]),
      ),
      { numRuns: 1_000 },
    );
  });

  test('is read with for await, in order and with the error at the end', async () => {
    const { reader, writer } = new Pipe<number>({ capacity: 3 });
    const writing = (async () => {
      using end = writer;
      for (let i = 0; i < 100; i++) await end.write(i);
    })();
    const seen: number[] = [];
    for await (const value of reader) seen.push(value);
    await writing;
    expect(seen).toEqual(Array.from({ length: 100 }, (_, i) => i));

    const failed = new Pipe<number>();
    await failed.writer.write(1);
    const cause = new Error('disk');
    failed.writer.fail(cause);
    const values: number[] = [];
    const reading = (async () => {
      for await (const value of failed.reader) values.push(value);
    })();
    await expect(reading).rejects.toMatchObject({ code: 'SUNSTAR_PIPE_FAILED', cause });
    expect(values).toEqual([1]);
  });

  test('tells the writer when the reader leaves its loop', async () => {
    const { reader, writer } = new Pipe<number>({ capacity: 1 });
    await writer.write(1);
    const waiting = writer.write(2);
    for await (const _ of reader) break;
    // The second value moved in when the first was taken, and was dropped with the reader.
    await waiting;
    await expect(writer.write(3)).rejects.toMatchObject({ code: 'SUNSTAR_PIPE_BROKEN' });
    expect(writer.tryWrite(4)).toBe(false);
  });
});
