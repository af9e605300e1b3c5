import { SunstarError } from '../../src/errors.ts';

/** Writes down in which order promises settle: `+id`, or `-id CODE`. */
export class Trace {
  readonly lines: string[] = [];

  observe(id: number | string, promise: Promise<unknown>): void {
    promise.then(
      (value) => this.lines.push(value === undefined ? `+${id}` : `+${id} ${String(value)}`),
      (error: unknown) => this.lines.push(`-${id} ${codeOf(error)}`),
    );
  }
}

export function codeOf(error: unknown): string {
  return error instanceof SunstarError ? error.code.replace('SUNSTAR_', '') : String(error);
}

/** Runs all microtasks, and what they start. */
export function flush(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

/** Every sequence of exactly `length` steps: all interleavings of those who take them. */
export function* everySequence<S>(steps: readonly S[], length: number): Generator<S[]> {
  const indices = new Array<number>(length).fill(0);
  for (;;) {
    yield indices.map((index) => steps[index]);
    let at = length - 1;
    while (at >= 0 && indices[at] === steps.length - 1) indices[at--] = 0;
    if (at < 0) return;
    indices[at]++;
  }
}

/** A wait in a model. */
export interface ModelWait {
  readonly id: number;
  readonly deadlineMs: number;
}

/** Takes out of a model those whose time is up, the earliest first. */
export function takeExpired<W extends ModelWait>(
  lists: W[][],
  nowMs: number,
  onExpired: (wait: W) => void,
): void {
  for (;;) {
    const due = lists
      .flat()
      .filter((wait) => wait.deadlineMs <= nowMs)
      .sort((a, b) => a.deadlineMs - b.deadlineMs || a.id - b.id)[0];
    if (due === undefined) return;
    for (const list of lists) {
      const at = list.indexOf(due);
      if (at >= 0) list.splice(at, 1);
    }
    onExpired(due);
  }
}
