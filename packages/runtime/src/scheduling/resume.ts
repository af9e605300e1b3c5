import type { Scheduler } from './scheduler.js';
import type { Task } from './task.js';

const MAX_POOLED = 1024;

/** Goes on with somebody who waits for a turn. Reused: only the promise is new each time. */
class Resume implements Task {
  promise: Promise<void> = Promise.resolve();
  #resolve: () => void = () => {};
  readonly #capture = (resolve: () => void): void => {
    this.#resolve = resolve;
  };

  arm(): this {
    this.promise = new Promise(this.#capture);
    return this;
  }

  complete(): void {
    const resolve = this.#resolve;
    if (idle.length < MAX_POOLED) idle.push(this);
    resolve();
  }
}

const idle: Resume[] = [];

/** A promise that resolves in a turn of a group, behind what waits there. */
export function resumeIn(scheduler: Scheduler, groupId: number): Promise<void> {
  const resume = (idle.pop() ?? new Resume()).arm();
  scheduler.post(groupId, resume);
  return resume.promise;
}
