import type { Timers } from '../sync/timer.js';
import type { IoGroup } from './io-class.js';
import { type IoClock, IoQueue } from './io-queue.js';
import { type IoSchedulerOptions, type ResolvedIoOptions, resolveIoOptions } from './options.js';
import type { IoQueueStats } from './stats.js';

/** What an {@link IoScheduler} stands on. */
export interface IoSchedulerParts {
  readonly clock: IoClock;
  readonly timers: Timers;
  /** The group of an id; for ids that the shard does not know, another one. */
  readonly groupOf: (groupId: number) => IoGroup;
  /** Makes a group the current one; returns which was. */
  readonly swapGroup: (groupId: number) => number;
}

/**
 * Shares the disks among the scheduling groups of one shard: one {@link IoQueue} for each device. Reads and writes
 * of files go through it by themselves; see docs/io-scheduling.md.
 */
export class IoScheduler {
  readonly #parts: IoSchedulerParts;
  /** By device number; a machine has few, and they are never forgotten. */
  readonly #queues = new Map<number, IoQueue>();
  #options: ResolvedIoOptions = resolveIoOptions({});

  constructor(parts: IoSchedulerParts) {
    this.#parts = parts;
  }

  /** The options in force. */
  get options(): ResolvedIoOptions {
    return this.#options;
  }

  /**
   * Changes options, those not given stay as they are; for all devices of this shard.
   *
   * @throws SunstarError SUNSTAR_INVALID_OPTION
   */
  configure(options: IoSchedulerOptions): void {
    this.#options = resolveIoOptions(options, this.#options);
    for (const queue of this.#queues.values()) queue.configure(this.#options);
  }

  /** The queue of a device. @param device - Its number, as `st_dev` of a file on it. */
  queueOf(device: number): IoQueue {
    let queue = this.#queues.get(device);
    if (queue === undefined) {
      queue = new IoQueue({ ...this.#parts, device: deviceName(device), options: this.#options });
      this.#queues.set(device, queue);
    }
    return queue;
  }

  /** A snapshot for each device that was used. */
  stats(): IoQueueStats[] {
    return Array.from(this.#queues.values(), (queue) => queue.stats);
  }
}

/** `major:minor`, as in /proc/self/mountinfo. The number is glibc's encoding, which node:fs gives. */
function deviceName(device: number): string {
  const low = device % 2 ** 32;
  const high = Math.floor(device / 2 ** 32);
  const major = ((low >>> 8) & 0xfff) | (high & 0xfffff000);
  const minor = (low & 0xff) | ((low >>> 12) & 0xffffff00);
  return `${major >>> 0}:${minor >>> 0}`;
}
