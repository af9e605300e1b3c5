import { SunstarError } from '../errors.js';
import type { GroupNames } from './group-names.js';
import type { GroupSnapshot } from './group-stats.js';
import { checkName, type SchedulingGroup, type SchedulingGroupOptions } from './groups.js';
import { threadGroups, threadScheduler } from './thread-scheduler.js';

/** The scheduling groups of a shard. */
export class ShardGroups {
  readonly #names: GroupNames;

  /** For the shard: `shard.groups` is the one of a thread. */
  constructor(names: GroupNames) {
    this.#names = names;
  }

  /** Where everything runs that no other group was asked for, Node's own callbacks included. 100 shares at first. */
  get default(): SchedulingGroup {
    return threadGroups.default;
  }

  /** All groups of this shard, by rising id. */
  get all(): readonly SchedulingGroup[] {
    return threadGroups.all;
  }

  /** The group of a name, if this shard has made it. */
  find(name: string): SchedulingGroup | undefined {
    return threadGroups.byName(name);
  }

  /**
   * Makes a group on this shard. Make it on every shard where it has work: groups of the same name have the same id,
   * and a call from one shard to another runs in the group of its caller there, or in the default group if that
   * shard has not made it. A group lives as long as its shard.
   *
   * @throws SunstarError `SUNSTAR_GROUP_EXISTS`, `SUNSTAR_TOO_MANY_GROUPS`, `SUNSTAR_INVALID_OPTION`
   */
  create(options: SchedulingGroupOptions): SchedulingGroup {
    checkName(options.name);
    if (threadGroups.byName(options.name) !== undefined) {
      throw new SunstarError(
        'SUNSTAR_GROUP_EXISTS',
        `This shard has a scheduling group "${options.name}" already. Get it with groups.find(), and set its shares there.`,
      );
    }
    const group = threadGroups.make(options, (name) => this.#names.idOf(name));
    threadScheduler.open(group);
    return group;
  }

  /** What each group has used and how long it waited, by rising id. */
  stats(): GroupSnapshot[] {
    return threadGroups.all.map((group) => threadScheduler.snapshot(group));
  }
}
