import { monotonicMs } from '../reactor/clock.js';
import type { Reactor } from '../reactor/index.js';
import { swapGroup } from '../scheduling/current-group.js';
import { threadGroups } from '../scheduling/thread-scheduler.js';
import { threadTimers } from '../sync/node-timers.js';
import type { IoClock } from './io-queue.js';
import type { IoSchedulerParts } from './io-scheduler.js';

/** The clock of performance.now(), and the reactor's coarse one brought to the same start. */
class ReactorClock implements IoClock {
  readonly #reactor: Reactor;
  readonly #aheadMs: number;

  constructor(reactor: Reactor) {
    this.#reactor = reactor;
    this.#aheadMs = monotonicMs() - performance.now();
  }

  get nowMs(): number {
    return performance.now();
  }

  get tickMs(): number {
    return this.#reactor.nowMs - this.#aheadMs;
  }
}

/** What the I/O scheduler of a shard's thread stands on. */
export function reactorIoParts(reactor: Reactor): IoSchedulerParts {
  return {
    clock: new ReactorClock(reactor),
    timers: threadTimers,
    groupOf: (id) => threadGroups.byId(id) ?? threadGroups.default,
    swapGroup,
  };
}
