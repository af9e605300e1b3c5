// The thread of EmulatedThread: answers each piece of work with the nanoseconds for one operation.
import { parentPort } from 'node:worker_threads';
import { attach, IORING_OP } from '@sunstar/runtime';
import { nanosecondsPerOperationAsync } from '../harness/timing.js';
import type { Work } from './emulated.js';
import { NopBatches, OPERATIONS, oneByOne } from './no-ops.js';

const { reactor } = attach({ backend: 'emulated' });

function noOps(work: Work): Promise<void> {
  if (work !== 'promise') return new NopBatches(reactor, work).run();
  return oneByOne(() => reactor.run('nop', IORING_OP.NOP, -1, 0, 0, 0));
}

parentPort?.on('message', (work: Work) => {
  void nanosecondsPerOperationAsync(OPERATIONS, () => noOps(work)).then((nanoseconds) =>
    parentPort?.postMessage(nanoseconds),
  );
});
