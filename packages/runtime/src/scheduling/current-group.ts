/** The group of whatever no other group was asked for: Node's own callbacks, and a shard's entry function. */
export const DEFAULT_GROUP_ID = 0;

let current: number = DEFAULT_GROUP_ID;

/** The id of the scheduling group whose code runs now on this thread. */
export function currentGroupId(): number {
  return current;
}

/**
 * Makes a group the current one until it is swapped back, which must happen before the code that did it awaits or
 * returns: what is submitted in between belongs to the group. For schedulers that submit for others.
 *
 * @returns The group that was current.
 */
export function swapGroup(groupId: number): number {
  const before = current;
  current = groupId;
  return before;
}
