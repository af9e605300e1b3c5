import { currentGroupId, DEFAULT_GROUP_ID, swapGroup } from '../../src/scheduling/current-group.ts';
import { GroupRegistry, type SchedulingGroup } from '../../src/scheduling/groups.ts';
import { resumeIn } from '../../src/scheduling/resume.ts';
import { Scheduler, type SchedulerHost } from '../../src/scheduling/scheduler.ts';

/** What happens at a time. */
interface Event {
  readonly atMs: number;
  readonly happen: () => void;
}

/** An event loop whose time passes only when somebody says so. */
export class ManualLoop implements SchedulerHost {
  readonly groups: GroupRegistry;
  readonly scheduler: Scheduler;
  /** Completions by operation: what {@link submit} was given. */
  readonly #operations = new Map<number, (result: number) => void>();
  readonly #events: Event[] = [];
  refs = 0;
  #nowMs = 0;
  #isRequested = false;
  #nextId = 1;
  #nextGroup = 1;

  constructor() {
    this.groups = new GroupRegistry((groupId) => resumeIn(this.scheduler, groupId));
    this.scheduler = new Scheduler(this.groups, this);
  }

  group(name: string, shares: number, latencySensitive = false, parent?: SchedulingGroup): SchedulingGroup {
    const options = { name, shares, latencySensitive, ...(parent === undefined ? {} : { parent }) };
    const group = this.groups.make(options, () => this.#nextGroup++);
    this.scheduler.open(group);
    return group;
  }

  nowMs(): number {
    return this.#nowMs;
  }

  /** The running code takes some time. */
  spend(ms: number): void {
    this.#nowMs += ms;
  }

  at(atMs: number, happen: () => void): void {
    this.#events.push({ atMs, happen });
    this.#events.sort((a, b) => a.atMs - b.atMs);
  }

  /** An operation of the current group that the kernel completes at a time. */
  operation(atMs: number): Promise<number> {
    const groupId = currentGroupId();
    const id = this.#nextId++;
    return new Promise((resolve) => {
      this.#operations.set(id, resolve);
      this.at(atMs, () => this.scheduler.postCompletion(groupId, id, id, 0));
    });
  }

  yield(): Promise<void> {
    return resumeIn(this.scheduler, currentGroupId());
  }

  requestTurn(): void {
    this.#isRequested = true;
  }

  deliver(operationId: number, result: number): void {
    const resolve = this.#operations.get(operationId);
    this.#operations.delete(operationId);
    resolve?.(result);
  }

  ref(): void {
    this.refs++;
  }

  unref(): void {
    this.refs--;
  }

  /** Runs turns until a time, or until nothing is left to happen. */
  async runUntil(endMs: number): Promise<void> {
    // What the test itself has begun.
    await new Promise(setImmediate);
    for (;;) {
      while (this.#events.length > 0 && this.#events[0].atMs <= this.#nowMs) this.#events.shift()?.happen();
      if (this.#nowMs >= endMs) return;
      if (!this.#isRequested) {
        if (this.#events.length === 0) return;
        this.#nowMs = this.#events[0].atMs;
        continue;
      }
      this.#isRequested = false;
      const startedMs = this.#nowMs;
      this.scheduler.runNext();
      // All continuations.
      await new Promise(setImmediate);
      swapGroup(DEFAULT_GROUP_ID);
      this.scheduler.endTurn(this.#nowMs - startedMs);
      this.scheduler.invariants();
    }
  }
}
