import type { Completion, Reactor } from '@sunstar/runtime';

/** Work for the end of the tick that keeps the program alive until it has run, like an operation in flight. */
export class Deferral implements Completion {
  readonly #reactor: Pick<Reactor, 'defer' | 'ref' | 'unref'>;
  #tasks: Completion[] = [];
  #running: Completion[] = [];

  constructor(reactor: Pick<Reactor, 'defer' | 'ref' | 'unref'>) {
    this.#reactor = reactor;
  }

  /** Calls `task.complete(0, 0)` once, before the submissions of this tick reach the kernel. */
  add(task: Completion): void {
    this.#tasks.push(task);
    if (this.#tasks.length > 1) return;
    this.#reactor.ref();
    this.#reactor.defer(this);
  }

  complete(): void {
    const tasks = this.#tasks;
    this.#tasks = this.#running;
    this.#running = tasks;
    this.#reactor.unref();
    for (let i = 0; i < tasks.length; i++) tasks[i].complete(0, 0);
    tasks.length = 0;
  }
}
