import type { Logger } from '../log.js';
import type { Metrics } from '../metrics/index.js';
import type { Reactor } from '../reactor/index.js';
import type { GroupNames } from '../scheduling/group-names.js';
import type { ResolvedObserveOptions } from './options.js';
import { StallReporter } from './stall-reporter.js';
import { watchStalls } from './stall-watch.js';

/** The thread of `attach()`, as far as its stalls go. */
export interface AttachedThread {
  readonly id: number;
  readonly reactor: Reactor;
  readonly log: Logger;
  readonly metrics: Metrics;
}

/**
 * Has a thread report its own stalls. They are noticed, and the stack is taken, while they last; but the thread can
 * tell nobody before it runs again.
 */
export function reportOwnStalls(
  thread: AttachedThread,
  names: GroupNames,
  options: ResolvedObserveOptions,
): void {
  if (options.stallThresholdMs === 0) return;
  const { id, log, metrics, reactor } = thread;
  const reporter = new StallReporter({
    logOf: () => log,
    metrics,
    groupName: (groupId) => names.nameOf(groupId),
    onStall: options.onStall,
  });
  watchStalls(reactor.ringFd, (event) => reporter.report(id, event));
  // Not in the turn that loads the program.
  setImmediate(() =>
    reactor.ring.detectStalls(options.stallThresholdMs, options.stallReportsPerMinute),
  ).unref();
}
