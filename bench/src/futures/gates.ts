import { Gate, Queue } from '@sunstar/runtime';
import type { BenchmarkCase } from '../harness/benchmark.js';
import { futuresCase, OPERATIONS } from './futures-case.js';

/** Gates and queues. */
export function gateAndQueueCases(): BenchmarkCase[] {
  const gate = new Gate();
  const running = new Set<object>();
  const token = {};
  const queue = new Queue<number>();
  const array: number[] = [];
  return [
    futuresCase(
      'gate enter and leave',
      () => {
        for (let i = 0; i < OPERATIONS; i++) {
          gate.enter();
          gate.leave();
        }
      },
      {
        'Set of what runs': () => {
          for (let i = 0; i < OPERATIONS; i++) {
            running.add(token);
            running.delete(token);
          }
        },
      },
    ),
    futuresCase(
      'queue push and pop, 8 inside',
      () => {
        while (queue.size < 8) queue.tryPush(0);
        for (let i = 0; i < OPERATIONS; i++) {
          queue.tryPush(i);
          queue.tryPop();
        }
      },
      {
        'Array push and shift': () => {
          while (array.length < 8) array.push(0);
          for (let i = 0; i < OPERATIONS; i++) {
            array.push(i);
            array.shift();
          }
        },
      },
    ),
  ];
}
