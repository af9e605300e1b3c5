import { SunstarError } from '../errors.js';
import type { Task } from './task.js';

const INITIAL_SLOTS = 64;
const WORDS = 3;

/**
 * What a group has to do, first in, first out: completions of operations as three numbers each, and tasks. A ring
 * that doubles when it is full; what is in it is bounded by who fills it, above all by the operations in flight.
 */
export class ReadyQueue {
  /** What {@link take} took: a task, or null for a completion. */
  task: Task | null = null;
  /** The operation of the completion. */
  operationId = 0;
  result = 0;
  flags = 0;
  #words: Int32Array = new Int32Array(INITIAL_SLOTS * WORDS);
  #tasks: (Task | null)[] = new Array<Task | null>(INITIAL_SLOTS).fill(null);
  #mask: number = INITIAL_SLOTS - 1;
  #head = 0;
  #size = 0;

  get size(): number {
    return this.#size;
  }

  pushTask(task: Task, result: number, flags: number): void {
    this.#push(task, 0, result, flags);
  }

  pushCompletion(operationId: number, result: number, flags: number): void {
    this.#push(null, operationId, result, flags);
  }

  /** Moves the first item into the fields of the queue. It must not be empty. */
  take(): void {
    const slot = this.#head;
    const words = this.#words;
    const at = slot * WORDS;
    this.task = this.#tasks[slot];
    this.operationId = words[at];
    this.result = words[at + 1];
    this.flags = words[at + 2];
    this.#tasks[slot] = null;
    this.#head = (slot + 1) & this.#mask;
    this.#size--;
  }

  /** Throws when the state contradicts itself. For tests. */
  invariants(): void {
    const slots = this.#mask + 1;
    const fits = this.#size >= 0 && this.#size <= slots && this.#tasks.length === slots;
    let clean = this.#words.length === slots * WORDS;
    for (let i = this.#size; i < slots; i++) clean &&= this.#tasks[(this.#head + i) & this.#mask] === null;
    if (!fits || !clean) {
      throw new SunstarError('SUNSTAR_BROKEN_INVARIANT', 'A ready queue keeps what it has given out.');
    }
  }

  #push(task: Task | null, operationId: number, result: number, flags: number): void {
    if (this.#size > this.#mask) this.#grow();
    const slot = (this.#head + this.#size) & this.#mask;
    const at = slot * WORDS;
    this.#tasks[slot] = task;
    this.#words[at] = operationId;
    this.#words[at + 1] = result;
    this.#words[at + 2] = flags;
    this.#size++;
  }

  #grow(): void {
    const before = this.#mask + 1;
    const words = new Int32Array(2 * before * WORDS);
    const tasks = new Array<Task | null>(2 * before).fill(null);
    for (let i = 0; i < before; i++) {
      const slot = (this.#head + i) & this.#mask;
      tasks[i] = this.#tasks[slot];
      words.set(this.#words.subarray(slot * WORDS, (slot + 1) * WORDS), i * WORDS);
    }
    this.#words = words;
    this.#tasks = tasks;
    this.#mask = 2 * before - 1;
    this.#head = 0;
  }
}
