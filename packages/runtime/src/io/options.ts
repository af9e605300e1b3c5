import { checkInteger, invalidOption } from '../sync/errors.js';
import { DEFAULT_IO_COSTS, type IoCosts } from './io-cost.js';

/** How a shard uses its disks. Every option may be changed while it runs, see {@link IoScheduler.configure}. */
export interface IoSchedulerOptions {
  /**
   * What 99 of 100 requests of up to 128 KiB should keep to on a device that several scheduling groups use at the same
   * time, in milliseconds, 0.05 to 10,000: as much is given to the device at a time as allows that. A device that is
   * slower by itself is given what makes it take twice its own time.
   *
   * @default 0.75
   */
  readonly latencyGoalMs?: number;
  /**
   * Whether that limit also holds while a single group uses the device on this shard. Then nobody on the shard has
   * to be protected, and the device gets all there is. Set it where the other user is another shard.
   *
   * @default false
   */
  readonly limitSingleGroup?: boolean;
  /** How long a group counts as a user of the device after its last request, in milliseconds, 1 to 3,600,000. @default 1000 */
  readonly activeWindowMs?: number;
  /** Requests of a group that may wait for a device, 1 to 1,048,576; one more is refused. @default 65536 */
  readonly maxQueuedPerGroup?: number;
  /** Requests that a device has at the same time at most, 1 to 65,536. @default 4096 */
  readonly maxInFlight?: number;
  /** After this time a measured latency counts half, in milliseconds, 10 to 3,600,000. @default 2000 */
  readonly latencyHalfLifeMs?: number;
  /**
   * The part of the operations that must keep to a deadline, as far as was learned, for one more to be admitted
   * with it; above 0, up to 1.
   *
   * @default 0.9
   */
  readonly admissionQuantile?: number;
  /**
   * Where operations with deadlines are all refused, one is let through after so many milliseconds without a
   * measurement, to find out whether the device has recovered; 1 to 3,600,000.
   *
   * @default 250
   */
  readonly probeIntervalMs?: number;
  /** What requests take of a device, see {@link IoCosts}. */
  readonly costs?: Partial<IoCosts>;
}

/** Options with every default filled in. */
export type ResolvedIoOptions = Required<Omit<IoSchedulerOptions, 'costs'>> & { readonly costs: IoCosts };

/** The defaults. */
export const DEFAULT_IO_OPTIONS: ResolvedIoOptions = {
  latencyGoalMs: 0.75,
  limitSingleGroup: false,
  activeWindowMs: 1000,
  maxQueuedPerGroup: 65_536,
  maxInFlight: 4096,
  latencyHalfLifeMs: 2000,
  admissionQuantile: 0.9,
  probeIntervalMs: 250,
  costs: DEFAULT_IO_COSTS,
};

const MAX_WINDOW_MS = 3_600_000;

/** Checks options on top of others. @throws SunstarError SUNSTAR_INVALID_OPTION */
export function resolveIoOptions(
  options: IoSchedulerOptions,
  base: ResolvedIoOptions = DEFAULT_IO_OPTIONS,
): ResolvedIoOptions {
  const all = {
    ...base,
    ...withoutUndefined(options),
    costs: { ...base.costs, ...withoutUndefined(options.costs ?? {}) },
  };
  inRange('latencyGoalMs', all.latencyGoalMs, 0.05, 10_000);
  inRange('activeWindowMs', all.activeWindowMs, 1, MAX_WINDOW_MS);
  inRange('latencyHalfLifeMs', all.latencyHalfLifeMs, 10, MAX_WINDOW_MS);
  inRange('probeIntervalMs', all.probeIntervalMs, 1, MAX_WINDOW_MS);
  inRange('admissionQuantile', all.admissionQuantile, 1e-6, 1);
  checkInteger('maxQueuedPerGroup', all.maxQueuedPerGroup, 1, 1_048_576);
  checkInteger('maxInFlight', all.maxInFlight, 1, 65_536);
  inRange('costs.readOperationBytes', all.costs.readOperationBytes, 0, 1e9);
  inRange('costs.writeOperationBytes', all.costs.writeOperationBytes, 0, 1e9);
  inRange('costs.readByte', all.costs.readByte, 0.001, 1000);
  inRange('costs.writeByte', all.costs.writeByte, 0.001, 1000);
  return all;
}

function inRange(name: string, value: number, min: number, max: number): void {
  if (!(value >= min && value <= max)) throw invalidOption(name, value, `a number from ${min} to ${max}`);
}

function withoutUndefined<T extends object>(options: T): Partial<T> {
  return Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined)) as Partial<T>;
}
