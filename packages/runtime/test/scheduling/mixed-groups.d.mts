import type { SchedulingGroup, ShardContext } from '@sunstar/runtime';

export function makeGroups(shard: ShardContext): SchedulingGroup[];
export function runMixed(
  shard: ShardContext,
  chains: number,
  seed: number,
): Promise<{ checks: number; wrong: string[] }>;
