import { attach } from '@sunstar/runtime';
import { gateAndQueueCases } from './futures/gates.js';
import { loopCases } from './futures/loops.js';
import { promiseCases } from './futures/promises.js';
import { semaphoreCases } from './futures/semaphores.js';
import { timerCases } from './futures/timers.js';
import type { Benchmark, PreparedBenchmark } from './harness/benchmark.js';

const benchmark: Benchmark = {
  description:
    'waits, yields, gates, semaphores, queues, timers and loops, against promises, p-limit, async-mutex and p-queue',
  prepare(): Promise<PreparedBenchmark> {
    // With a reactor, as on a shard: turns are its ticks.
    attach({ stalls: false });
    return Promise.resolve({
      cases: [
        ...promiseCases(),
        ...semaphoreCases(),
        ...gateAndQueueCases(),
        ...timerCases(),
        ...loopCases(),
      ],
    });
  },
};

export default benchmark;
