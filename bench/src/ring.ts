import { closeSync, fstat, openSync } from 'node:fs';
import { setImmediate as immediate } from 'node:timers/promises';
import { promisify } from 'node:util';
import { attach, IORING_OP, type Reactor } from '@sunstar/runtime';
import type { Benchmark, BenchmarkCase, Metric, PreparedBenchmark } from './harness/benchmark.js';
import { nanosecondsPerOperationAsync } from './harness/timing.js';
import { EmulatedThread } from './ring/emulated.js';
import { NopBatches, OPERATIONS, oneByOne } from './ring/no-ops.js';

// What Node has for "ask, let the event loop go round, be answered":
// - setImmediate: one turn of the loop that asks the kernel nothing, so the floor for anything asynchronous;
// - fs.fstat on an open file: the cheapest system call of libuv's thread pool, which is how Node does file I/O;
// - our own ring as it is emulated where io_uring cannot be used, on a thread of its own that is measured alone.
const IMMEDIATE = 'setImmediate (no kernel)';
const EMULATED = 'the emulated ring';
const FSTAT = 'fs.fstat (libuv thread pool)';
const BATCH = 64;

/** Starts one operation that calls `done` when it is finished. */
type Start = (done: () => void) => void;

/** Keeps `width` operations in flight, a new batch when the last one is complete, until `OPERATIONS` are done. */
function inBatches(width: number, start: Start): Promise<void> {
  return new Promise((resolve) => {
    let batchesLeft = OPERATIONS / width;
    let left = 0;
    const startBatch = (): void => {
      left = width;
      for (let i = 0; i < width; i++) start(done);
    };
    const done = (): void => {
      if (--left > 0) return;
      if (--batchesLeft === 0) resolve();
      else startBatch();
    };
    startBatch();
  });
}

function nanoseconds(name: string): readonly Metric[] {
  return [{ case: name, unit: 'ns/op', higherIsBetter: false }];
}

function batchCase(
  name: string,
  reactor: Reactor,
  emulated: EmulatedThread,
  width: number,
  fstatOnce: Start,
): BenchmarkCase {
  const nops = new NopBatches(reactor, width);
  const measure = (body: () => Promise<void>) => (): Promise<number> =>
    nanosecondsPerOperationAsync(OPERATIONS, body);
  return {
    metrics: nanoseconds(name),
    ours: measure(() => nops.run()),
    peers: [
      { peer: IMMEDIATE, measure: measure(() => inBatches(width, setImmediate)) },
      { peer: FSTAT, measure: measure(() => inBatches(width, fstatOnce)) },
      { peer: EMULATED, measure: () => emulated.measure(width) },
    ],
  };
}

const benchmark: Benchmark = {
  description:
    'a no-op through the ring, alone and in batches, against one turn of the event loop and fs.fstat',
  prepare(): Promise<PreparedBenchmark> {
    const { reactor } = attach();
    const emulated = new EmulatedThread();
    const fd = openSync(process.execPath, 'r');
    const fstatAsync = promisify(fstat);
    const fstatOnce: Start = (done) =>
      fstat(fd, (error) => {
        if (error !== null) throw error;
        done();
      });
    const measure = (operation: () => Promise<unknown>) => (): Promise<number> =>
      nanosecondsPerOperationAsync(OPERATIONS, () => oneByOne(operation));
    return Promise.resolve({
      cases: [
        batchCase('no-op, one at a time, callback', reactor, emulated, 1, fstatOnce),
        {
          metrics: nanoseconds('no-op, one at a time, promise'),
          ours: measure(() => reactor.run('nop', IORING_OP.NOP, -1, 0, 0, 0)),
          peers: [
            { peer: IMMEDIATE, measure: measure(() => immediate()) },
            { peer: FSTAT, measure: measure(() => fstatAsync(fd)) },
            { peer: EMULATED, measure: () => emulated.measure('promise') },
          ],
        },
        batchCase(`no-op, batches of ${BATCH}, callback`, reactor, emulated, BATCH, fstatOnce),
      ],
      teardown: () => {
        closeSync(fd);
        return emulated.close();
      },
    });
  },
};

export default benchmark;
