import { SunstarError } from '../errors.js';
import type { SchedulingGroup } from '../scheduling/index.js';
import { MAX_DELAY_MS } from '../sync/index.js';
import { ServiceGroup } from './service-group.js';

/** What a service may be given besides its name, on the shard that starts it. */
export interface ServiceOptions {
  /** Known to all shards, 1 to 255 characters. */
  readonly name: string;
  /** The scheduling group in which its methods run on this shard. @default that of whoever calls them */
  readonly group?: SchedulingGroup;
  /** Bounds the calls that this shard makes to others, unless a call names another group. @default only `maxOutstanding` */
  readonly serviceGroup?: ServiceGroup;
  /** How long this shard waits for answers of others, 1 to 2^30 ms, unless a call says otherwise. @default for ever */
  readonly timeoutMs?: number;
  /**
   * Names of up to 31 public properties or getters of the instance whose numbers travel with its answers: other
   * shards read them from {@link Sharded.load} without asking. Getters run for each answer: keep them cheap.
   */
  readonly fields?: readonly string[];
}

/** @throws SunstarError `SUNSTAR_INVALID_OPTION` */
export function serviceOptions(given: string | ServiceOptions): ServiceOptions {
  const options = typeof given === 'string' ? { name: given } : given;
  const { serviceGroup, timeoutMs } = options;
  if (timeoutMs !== undefined && !(timeoutMs >= 1 && timeoutMs <= MAX_DELAY_MS)) {
    throw invalid(`timeoutMs is a number of milliseconds from 1 to ${MAX_DELAY_MS}, not ${timeoutMs}.`);
  }
  if (serviceGroup !== undefined && !(serviceGroup instanceof ServiceGroup)) {
    throw invalid('serviceGroup is a ServiceGroup.');
  }
  return options;
}

function invalid(what: string): SunstarError {
  return new SunstarError('SUNSTAR_INVALID_OPTION', `Of the options of a service, ${what}`);
}
