export { currentGroupId, DEFAULT_GROUP_ID, swapGroup } from './current-group.js';
export type { GroupSnapshot } from './group-stats.js';
export {
  DEFAULT_SHARES,
  MAX_GROUPS,
  MAX_SHARES,
  MIN_SHARES,
  SchedulingGroup,
  type SchedulingGroupOptions,
} from './groups.js';
export { DEFAULT_TASK_QUOTA_US, needPreempt } from './preempt.js';
export { ShardGroups } from './shard-groups.js';
export { callIn, currentGroup, inThisGroup } from './thread-scheduler.js';
export { maybeYield, yieldNow } from './yield.js';
