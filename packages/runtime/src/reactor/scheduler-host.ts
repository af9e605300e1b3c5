import { CONTROL, type RingDescription } from '@sunstar/native';
import { SunstarError } from '../errors.js';
import { keepCurrentGroupIn } from '../scheduling/current-group.js';
import { watchTurns } from '../scheduling/preempt.js';
import type { SchedulerHost } from '../scheduling/scheduler.js';
import { monotonicMs } from './clock.js';
import { IORING_CQE_F } from './constants.js';
import type { InFlight } from './in-flight.js';

const MIN_TASK_QUOTA_US = 50;
const MAX_TASK_QUOTA_US = 100_000;

/**
 * Makes a ring's control words those of the thread's scheduling groups, and gives the event loop that the groups' turns
 * run in.
 *
 * @throws SunstarError `SUNSTAR_INVALID_OPTION`
 */
export function hostScheduler(
  description: RingDescription,
  inFlight: InFlight,
  taskQuotaUs: number,
): SchedulerHost {
  if (!(taskQuotaUs >= MIN_TASK_QUOTA_US && taskQuotaUs <= MAX_TASK_QUOTA_US)) {
    throw new SunstarError(
      'SUNSTAR_INVALID_OPTION',
      `\`taskQuotaUs\` is ${taskQuotaUs}; give ${MIN_TASK_QUOTA_US} to ${MAX_TASK_QUOTA_US} microseconds.`,
    );
  }
  const control = new Int32Array(description.control);
  control[CONTROL.QUOTA_US] = taskQuotaUs;
  keepCurrentGroupIn(control, CONTROL.GROUP);
  const aheadMs = monotonicMs() - performance.now();
  watchTurns({
    control,
    preemptAt: CONTROL.PREEMPT,
    turn: new Float64Array(description.control, CONTROL.NOW_MS * 4, 1),
    aheadMs,
    quotaMs: taskQuotaUs / 1000,
  });
  const { operations } = inFlight;
  const host: SchedulerHost = {
    nowMs: () => performance.now() + aheadMs,
    requestTurn: () => {
      control[CONTROL.MORE] = 1;
    },
    deliver: (id, result, flags) => {
      const completion = operations.get(id);
      if ((flags & IORING_CQE_F.MORE) === 0) {
        operations.remove(id);
        host.unref();
      }
      completion.complete(result, flags);
    },
    ref: () => inFlight.hold(),
    unref: () => {
      inFlight.release();
      // Within microtasks there will often be a next one: the tick that follows looks.
      if (inFlight.isIdle && !inFlight.ticking) control[CONTROL.MORE] = 1;
    },
  };
  return host;
}
