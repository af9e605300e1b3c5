import type { Completion } from './completion.js';

/** Tasks in order, in an array that keeps its memory: emptying a plain one would have it grow again each time. */
export class TaskList {
  readonly #tasks: (Completion | null)[] = [];
  #count = 0;
  #next = 0;

  /** How many are left. */
  get count(): number {
    return this.#count - this.#next;
  }

  push(task: Completion): void {
    this.#tasks[this.#count++] = task;
  }

  /** Takes the first one out; there must be one. */
  shift(): Completion {
    const task = this.#tasks[this.#next] as Completion;
    this.#tasks[this.#next++] = null;
    if (this.#next === this.#count) {
      this.#next = 0;
      this.#count = 0;
    }
    return task;
  }
}
