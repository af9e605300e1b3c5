export { currentGroupId, DEFAULT_GROUP_ID } from './current-group.js';
export {
  DEFAULT_SHARES,
  MAX_GROUPS,
  MAX_SHARES,
  MIN_SHARES,
  SchedulingGroup,
  type SchedulingGroupOptions,
} from './groups.js';
