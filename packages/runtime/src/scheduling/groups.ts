import { SunstarError } from '../errors.js';
import { currentGroupId, DEFAULT_GROUP_ID } from './current-group.js';

/** The most scheduling groups of a shard, the default one included: ids have 8 bits. */
export const MAX_GROUPS = 255;
/** Range of shares. */
export const MIN_SHARES = 1;
/** The most shares that a group may have. */
export const MAX_SHARES = 1000;
/** Shares of a group that asks for none. */
export const DEFAULT_SHARES = 100;

/** Characters (UTF-16 code units) of a group's name. */
export const MAX_NAME_LENGTH = 64;

/** What a scheduling group is made of. */
export interface SchedulingGroupOptions {
  /** 1 to 64 characters; the same name is the same group on every shard. */
  readonly name: string;
  /** Part of the CPU in relation to that of its siblings, 1 to 1000. @default 100 */
  readonly shares?: number;
  /** The group whose part of the CPU this one gets a part of. @default none: a sibling of the default group */
  readonly parent?: SchedulingGroup;
  /** Runs before its siblings as long as it uses no more than its part, so that its waits are short. @default false */
  readonly latencySensitive?: boolean;
  /** Part of a disk's bandwidth in relation to that of the other groups, 1 to 1000. @default `shares`, following it */
  readonly ioShares?: number;
  /** The most bytes that it may read and write on disks in a second, on this shard. @default no limit */
  readonly ioBytesPerSecond?: number;
}

/** A promise that resolves in a turn of a group. */
type TurnOf = (groupId: number) => Promise<void>;

/**
 * A group of work on this shard, with its part of CPU and disks: a service, a kind of request, background work.
 *
 * What runs in a group is what was started there, and everything that continues it: each `await` of sunstar's own
 * (files, sockets, calls, locks, queues, timers) continues in the group that awaits. After Seastar's
 * `scheduling_group`.
 */
export class SchedulingGroup {
  /** 0 is the default group. The same on every shard of a runtime. */
  readonly id: number;
  readonly name: string;
  readonly parent: SchedulingGroup | undefined;
  readonly latencySensitive: boolean;
  #shares: number;
  #ioShares: number | undefined;
  #ioBytesPerSecond: number;
  readonly #turnOf: TurnOf;

  /** For {@link GroupRegistry} only. @internal */
  constructor(options: SchedulingGroupOptions, idOf: (name: string) => number, turnOf: TurnOf) {
    this.#turnOf = turnOf;
    this.name = options.name;
    this.parent = options.parent;
    this.latencySensitive = options.latencySensitive ?? false;
    this.#shares = checkShares('shares', options.shares ?? DEFAULT_SHARES);
    this.#ioShares = options.ioShares === undefined ? undefined : checkShares('ioShares', options.ioShares);
    this.#ioBytesPerSecond = checkBandwidth(options.ioBytesPerSecond ?? Number.POSITIVE_INFINITY);
    this.id = idOf(options.name);
  }

  /** Part of the CPU on this shard, 1 to 1000; a change counts from the next turn on. */
  get shares(): number {
    return this.#shares;
  }

  set shares(value: number) {
    this.#shares = checkShares('shares', value);
  }

  /** Part of disk bandwidth on this shard, 1 to 1000. Follows {@link shares} until it is set. */
  get ioShares(): number {
    return this.#ioShares ?? this.#shares;
  }

  set ioShares(value: number) {
    this.#ioShares = checkShares('ioShares', value);
  }

  /** The most bytes in a second on this shard's disks; Infinity without a limit. */
  get ioBytesPerSecond(): number {
    return this.#ioBytesPerSecond;
  }

  set ioBytesPerSecond(value: number) {
    this.#ioBytesPerSecond = checkBandwidth(value);
  }

  /**
   * Runs a function in this group: at once if it is the current one, else in one of its turns. What the caller awaits
   * continues in the caller's group.
   *
   * @returns Rejects as the function does.
   */
  async run<R>(work: () => R | PromiseLike<R>): Promise<R> {
    const caller = currentGroupId();
    if (caller !== this.id) await this.#turnOf(this.id);
    try {
      return await work();
    } finally {
      if (currentGroupId() !== caller) await this.#turnOf(caller);
    }
  }

  /**
   * The same outcome, in a turn of this group. For a promise that JavaScript or a library settles somewhere else: in
   * another group, or in a callback of Node's, which runs in the default group.
   */
  async bind<T>(promise: PromiseLike<T>): Promise<T> {
    try {
      return await promise;
    } finally {
      if (currentGroupId() !== this.id) await this.#turnOf(this.id);
    }
  }
}

/** The groups of one thread, by id and by name. */
export class GroupRegistry {
  readonly default: SchedulingGroup;
  readonly #byId: (SchedulingGroup | undefined)[] = [];
  readonly #byName = new Map<string, SchedulingGroup>();
  readonly #turnOf: TurnOf;

  constructor(turnOf: TurnOf) {
    this.#turnOf = turnOf;
    this.default = this.make({ name: 'default' }, () => DEFAULT_GROUP_ID);
  }

  /** How many groups there are, the default one included. */
  get size(): number {
    return this.#byName.size;
  }

  /** All groups by rising id. */
  get all(): readonly SchedulingGroup[] {
    return this.#byId.filter((group) => group !== undefined);
  }

  /** The group of an id, if this shard has it. */
  byId(id: number): SchedulingGroup | undefined {
    return this.#byId[id];
  }

  byName(name: string): SchedulingGroup | undefined {
    return this.#byName.get(name);
  }

  /**
   * Adds a group. Nothing has changed when it throws.
   *
   * @param idOf - Gives the id of a name; asked only when the options are right.
   * @throws SunstarError `SUNSTAR_INVALID_OPTION`; what `idOf` throws.
   */
  make(options: SchedulingGroupOptions, idOf: (name: string) => number): SchedulingGroup {
    checkName(options.name);
    const { parent } = options;
    if (parent !== undefined && this.#byId[parent.id] !== parent) {
      throw invalid(`The parent of group "${options.name}" is no group of this shard.`);
    }
    const group = new SchedulingGroup(options, idOf, this.#turnOf);
    this.#byId[group.id] = group;
    this.#byName.set(group.name, group);
    return group;
  }

  /** Throws when the state contradicts itself. For tests. */
  invariants(): void {
    for (const [id, group] of this.#byId.entries()) {
      if (group === undefined) continue;
      if (group.id !== id || this.#byName.get(group.name) !== group) {
        throw new SunstarError('SUNSTAR_BROKEN_INVARIANT', `Group ${id} is registered under another name.`);
      }
    }
  }
}

/** @throws SunstarError `SUNSTAR_INVALID_OPTION` */
export function checkName(name: string): void {
  if (typeof name !== 'string' || name.length === 0 || name.length > MAX_NAME_LENGTH) {
    throw invalid(`A scheduling group's \`name\` must have 1 to ${MAX_NAME_LENGTH} characters.`);
  }
}

function checkShares(name: string, value: number): number {
  if (!(value >= MIN_SHARES && value <= MAX_SHARES)) {
    throw invalid(`\`${name}\` is ${value}; give a number from ${MIN_SHARES} to ${MAX_SHARES}.`);
  }
  return value;
}

function checkBandwidth(value: number): number {
  if (!(value > 0)) {
    throw invalid(`\`ioBytesPerSecond\` is ${value}; give a positive number, or Infinity for no limit.`);
  }
  return value;
}

function invalid(message: string): SunstarError {
  return new SunstarError('SUNSTAR_INVALID_OPTION', message);
}
