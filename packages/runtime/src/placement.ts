import { readFileSync } from 'node:fs';
import { native } from '@sunstar/native';
import { systemError } from './errors.js';

/**
 * Where shards run. `'pinned'`: shard i on the i-th CPU that this process may use, one each. `'unbound'`:
 * wherever the kernel's scheduler puts them. A list: shard i on the CPUs of the i-th entry.
 */
export type Placement = 'pinned' | 'unbound' | readonly (readonly number[])[];

/** The CPUs that this process may run on, in order. */
export function allowedCpus(): number[] {
  const cpus = native.allowedCpus();
  if (typeof cpus === 'number') throw systemError('sched_getaffinity', cpus);
  return cpus;
}

/** How many CPUs' worth of time the process's control group grants; infinite without a quota. */
export function cpuQuota(): number {
  // Version 2 in one file, version 1 in two; absent files mean no quota.
  const [quota, period] = (readIfThere('/sys/fs/cgroup/cpu.max') ?? '').split(' ');
  if (period !== undefined)
    return quota === 'max' ? Number.POSITIVE_INFINITY : Number(quota) / Number(period);
  const quotaUs = Number(readIfThere('/sys/fs/cgroup/cpu/cpu.cfs_quota_us') ?? -1);
  const periodUs = Number(readIfThere('/sys/fs/cgroup/cpu/cpu.cfs_period_us') ?? 100_000);
  return quotaUs > 0 ? quotaUs / periodUs : Number.POSITIVE_INFINITY;
}

/** The default number of shards: one for each CPU that the process may use, within its quota. */
export function defaultShardCount(): number {
  return Math.max(1, Math.min(allowedCpus().length, Math.floor(cpuQuota())));
}

/** The CPUs of each shard; undefined for one that may run anywhere. */
export function placeShards(placement: Placement, shardCount: number): (readonly number[] | undefined)[] {
  if (placement === 'unbound') return new Array<undefined>(shardCount).fill(undefined);
  if (placement !== 'pinned') return Array.from({ length: shardCount }, (_, shard) => placement[shard]);
  const cpus = allowedCpus();
  // More shards than CPUs cannot own one each: pinning two to one CPU would only hinder the scheduler.
  if (shardCount > cpus.length) return new Array<undefined>(shardCount).fill(undefined);
  return Array.from({ length: shardCount }, (_, shard) => [cpus[shard]]);
}

function readIfThere(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8').trim();
  } catch {
    return undefined;
  }
}
