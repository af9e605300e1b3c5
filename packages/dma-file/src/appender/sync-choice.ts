import { SunstarError } from '@sunstar/runtime';
import type { AppendMemory, AppendTarget } from './append-target.js';

/** How often the way that seems slower is tried again, in rounds, times by how much it is slower. */
const TRY_EVERY = 64;
const TRY_EVERY_MAX = 64 * TRY_EVERY;
/** The first try comes early: the first syncs of a file say little. */
const TRY_FIRST = 8;
/** Weight of the newest round in the averages. */
const WEIGHT = 0.2;
/** A round that took longer than this many averages counts as that: some wait for the device's own housekeeping. */
const OUTLIER = 4;
/** The way that needs more CPU time must be faster by this factor. */
const ADVANTAGE = 0.9;

/** Devices that a shard remembers. */
const MAX_DEVICES = 64;

const choicesOf = new WeakMap<AppendMemory, Map<string, SyncChoice>>();

/**
 * Which of two ways a flush takes that is a single write: a write with RWF_DSYNC, or a write and an fdatasync when it
 * is done. The first needs less CPU time. But where the device has no FUA the kernel finishes it in a work queue that
 * is bound to one CPU, and when other programs keep that busy it can take ten times as long as the second. So both
 * are measured, and the faster one is used.
 */
export class SyncChoice {
  /** What the appenders of a shard know of a device: they are opened and closed all the time. */
  static of(target: AppendTarget): SyncChoice {
    const choices = choicesOf.get(target.memory) ?? new Map<string, SyncChoice>();
    choicesOf.set(target.memory, choices);
    const device = target.device ?? '';
    let choice = choices.get(device);
    if (choice === undefined) {
      if (choices.size >= MAX_DEVICES) choices.clear();
      choice = new SyncChoice();
      choices.set(device, choice);
    }
    return choice;
  }

  readonly #averageMs: [durable: number, sync: number] = [0, 0];
  #untilTry = TRY_FIRST;

  /** Whether the next such flush is a durable write. */
  chooseDurable(): boolean {
    const prefersDurable = this.prefersDurable;
    if (--this.#untilTry > 0) return prefersDurable;
    const [durableMs, syncMs] = this.#averageMs;
    const factor = prefersDurable ? syncMs / durableMs : durableMs / syncMs;
    // A try costs what that way takes: the slower it is, the rarer.
    this.#untilTry = factor > 1 ? Math.min(TRY_EVERY_MAX, Math.ceil(TRY_EVERY * factor)) : TRY_EVERY;
    return !prefersDurable;
  }

  /** One has ended after so many milliseconds. */
  ended(isDurable: boolean, tookMs: number): void {
    const way = isDurable ? 0 : 1;
    const average = this.#averageMs[way];
    if (average === 0) this.#averageMs[way] = tookMs;
    else this.#averageMs[way] += (Math.min(tookMs, average * OUTLIER) - average) * WEIGHT;
  }

  /** What the measurements so far speak for. */
  get prefersDurable(): boolean {
    const [durableMs, syncMs] = this.#averageMs;
    return syncMs === 0 || syncMs >= durableMs * ADVANTAGE;
  }

  invariants(): void {
    if (this.#untilTry >= 1 && this.#untilTry <= TRY_EVERY_MAX && this.#averageMs.every((ms) => ms >= 0))
      return;
    throw new SunstarError('SUNSTAR_INVARIANT', 'SyncChoice: an average is negative.');
  }
}
