import type { StackFrame, StallEvent } from '@sunstar/native';

/** A turn of a shard that keeps everything else of its thread waiting. */
export interface StallReport {
  readonly shard: number;
  /** The scheduling group that runs. */
  readonly group: string;
  /**
   * `running`: JavaScript runs, `frames` are where. `native`: the thread is inside a native call or a collection of
   * garbage, where no stack can be taken. `returned`: `frames` are the first place reached after that.
   */
  readonly kind: 'running' | 'native' | 'returned';
  /** How long the turn had lasted when it was looked at. It may go on: long stalls are reported again. */
  readonly elapsedMs: number;
  /** How much of it the thread had been on a CPU; far less than `elapsedMs` when others took the CPU, or it waited. */
  readonly cpuMs: number;
  /** The innermost call first, at most 32; empty when `kind` is `native`. */
  readonly frames: readonly StackFrame[];
  /** The innermost call outside of Node's own modules: whom to look at first. */
  readonly culprit: StackFrame | undefined;
}

/** Makes a report of what the monitor's thread found out; undefined for the end of a stall. */
export function stallReport(event: StallEvent, shard: number, group: string): StallReport | undefined {
  const { kind, elapsedMs, cpuMs, frames } = event;
  if (kind === 'ended') return undefined;
  const culprit = frames.find(({ file }) => file !== '' && !file.startsWith('node:')) ?? frames[0];
  return { shard, group, kind, elapsedMs, cpuMs, frames, culprit };
}

/** As in the stack of an Error. */
export function formatFrame({ function: name, file, line, column }: StackFrame): string {
  const place = `${file}:${line}:${column}`;
  return name === '' ? `at ${place}` : `at ${name} (${place})`;
}

/** One sentence for the log. */
export function stallMessage({ kind, elapsedMs, cpuMs, culprit }: StallReport): string {
  const place = culprit === undefined ? '' : ` ${formatFrame(culprit)}`;
  const wait = `the shard has been stalled for ${Math.round(elapsedMs)} ms`;
  const idle = cpuMs < elapsedMs / 2 ? ', most of it off the CPU' : '';
  if (kind === 'native') return `${wait} inside native code${idle}`;
  if (kind === 'returned') return `${wait} by native code that was called${place}${idle}`;
  return `${wait}${place}${idle}`;
}
