/** The group of whatever no other group was asked for: Node's own callbacks, and a shard's entry function. */
export const DEFAULT_GROUP_ID = 0;

// A word of the reactor's control block, once there is one: native code makes the default group the current one before
// it lets libuv call back, and the stall detector reads whose code it has caught.
let words: Int32Array = new Int32Array(1);
let at = 0;

/** The id of the scheduling group whose code runs now on this thread. */
export function currentGroupId(): number {
  return words[at];
}

/**
 * Makes a group the current one until it is swapped back, which must happen before the code that did it awaits or
 * returns: what is submitted in between belongs to the group. For schedulers that submit for others.
 *
 * @returns The group that was current.
 */
export function swapGroup(groupId: number): number {
  const before = words[at];
  words[at] = groupId;
  return before;
}

/** Keeps the current group in this word from now on. For the reactor. */
export function keepCurrentGroupIn(control: Int32Array, index: number): void {
  control[index] = words[at];
  words = control;
  at = index;
}
