import { SunstarError } from '../errors.js';

/** Something with a part of its parent's time. */
export interface Shareholder {
  /** In relation to those of its siblings; may change at any time. */
  readonly shares: number;
  /** Whether it goes first while it has used no more than its part. */
  readonly latencySensitive: boolean;
}

/** What runs in a group itself counts like one of its children, with these shares. */
const OWN_SHARES = 100;

const OWN: Shareholder = { shares: OWN_SHARES, latencySensitive: false };
const OWN_SENSITIVE: Shareholder = { shares: OWN_SHARES, latencySensitive: true };

/**
 * One group among its siblings. Its virtual time is the time that it and all below it have run, divided by its
 * shares; whoever has the least is next.
 */
class Node {
  readonly holder: Shareholder;
  readonly parent: Node | null;
  /** The group that a leaf stands for; −1 inside the tree. */
  readonly groupId: number;
  /** Those of its children that have work. */
  readonly active: Node[] = [];
  isActive = false;
  /** As they were when `virtualMs` was last looked at. */
  shares: number;
  virtualMs = 0;
  /** The least virtual time of its active children, never going back. */
  floorMs = 0;
  /** Latency-sensitive leaves below (or here) that have work. */
  urgent = 0;

  constructor(holder: Shareholder, parent: Node | null, groupId: number) {
    this.holder = holder;
    this.shares = holder.shares;
    this.parent = parent;
    this.groupId = groupId;
  }

  /** When shares change, what it is ahead stays the same in time that it ran, not in virtual time. */
  weigh(floorMs: number): void {
    const { shares } = this.holder;
    if (shares === this.shares) return;
    this.virtualMs = floorMs + ((this.virtualMs - floorMs) * this.shares) / shares;
    this.shares = shares;
  }
}

/**
 * Shares time among groups in proportion to their shares, and among the children of a group inside of what it gets:
 * weighted fair queueing by virtual run time, as in Seastar and in Linux' CFS. It knows no clock: time is what
 * {@link charge} says.
 *
 * - A group that wakes up continues at the least virtual time of its siblings if it is behind: nobody saves up time
 *   by being idle.
 * - A latency-sensitive group is chosen first as long as its virtual time is at most `burstMs` of run time ahead of
 *   the least; over any longer time it gets no more than its part.
 */
export class FairTree {
  readonly #root = new Node(OWN, null, -1);
  readonly #nodes: (Node | undefined)[] = [];
  readonly #leaves: (Node | undefined)[] = [];
  /** How much run time a latency-sensitive group may be ahead of the others. */
  burstMs: number;

  constructor(burstMs: number) {
    this.burstMs = burstMs;
  }

  /** Adds a group that has no work. @param parentId - A group that was added; −1 for none. */
  add(groupId: number, holder: Shareholder, parentId: number): void {
    const parent = parentId < 0 ? this.#root : (this.#nodes[parentId] as Node);
    const node = new Node(holder, parent, -1);
    this.#nodes[groupId] = node;
    this.#leaves[groupId] = new Node(holder.latencySensitive ? OWN_SENSITIVE : OWN, node, groupId);
  }

  /** Whether the group competes. */
  isActive(groupId: number): boolean {
    return (this.#leaves[groupId] as Node).isActive;
  }

  /** The group has work from now on. */
  activate(groupId: number): void {
    const leaf = this.#leaves[groupId] as Node;
    if (leaf.isActive) return;
    for (let node = leaf; node.parent !== null && !node.isActive; node = node.parent) {
      node.isActive = true;
      node.weigh(node.parent.floorMs);
      if (node.virtualMs < node.parent.floorMs) node.virtualMs = node.parent.floorMs;
      node.parent.active.push(node);
    }
    if (leaf.holder.latencySensitive) addUrgent(leaf, 1);
  }

  /** The group has no more work. */
  deactivate(groupId: number): void {
    const leaf = this.#leaves[groupId] as Node;
    if (!leaf.isActive) return;
    for (let node = leaf; node.parent !== null && node.active.length === 0; node = node.parent) {
      node.isActive = false;
      const { active } = node.parent;
      const last = active.pop() as Node;
      if (last !== node) active[active.indexOf(node)] = last;
    }
    if (leaf.holder.latencySensitive) addUrgent(leaf, -1);
  }

  /** The group that is next; −1 when none has work. */
  next(): number {
    let node = this.#root;
    if (node.active.length === 0) return -1;
    while (node.groupId < 0) node = this.#best(node);
    return node.groupId;
  }

  /** The group has run for some time; it need not have work any more. */
  charge(groupId: number, ranMs: number): void {
    for (let node = this.#leaves[groupId] as Node; node.parent !== null; node = node.parent) {
      node.weigh(node.parent.floorMs);
      node.virtualMs += ranMs / node.shares;
    }
  }

  /** Throws when the state contradicts itself. For tests. */
  invariants(): void {
    for (const leaf of this.#leaves) {
      if (leaf === undefined) continue;
      for (let node = leaf; node.parent !== null; node = node.parent) {
        const { parent } = node;
        check(node.isActive === parent.active.includes(node), 'an active node is listed once');
        check(new Set(parent.active).size === parent.active.length, 'nobody is listed twice');
        check(
          node === leaf || node.isActive === node.active.length > 0,
          'a node with active children is active',
        );
        const below = node === leaf ? leaf.urgent : node.active.reduce((sum, child) => sum + child.urgent, 0);
        check(node.urgent === below, 'urgent leaves are counted');
        check(Number.isFinite(node.virtualMs), 'virtual time is a number');
      }
      check(
        leaf.urgent === (leaf.isActive && leaf.holder.latencySensitive ? 1 : 0),
        'an urgent leaf has work',
      );
    }
  }

  #best(parent: Node): Node {
    const { active } = parent;
    let least = active[0];
    for (let i = 0; i < active.length; i++) {
      const node = active[i];
      node.weigh(parent.floorMs);
      if (node.virtualMs < least.virtualMs) least = node;
    }
    if (least.virtualMs > parent.floorMs) parent.floorMs = least.virtualMs;
    if (parent.urgent === 0 || least.urgent > 0) return least;
    let best = least;
    for (let i = 0; i < active.length; i++) {
      const node = active[i];
      if (node.urgent === 0 || node.virtualMs - least.virtualMs > this.burstMs / node.shares) continue;
      if (best.urgent === 0 || node.virtualMs < best.virtualMs) best = node;
    }
    return best;
  }
}

function addUrgent(leaf: Node, by: number): void {
  for (let node: Node | null = leaf; node !== null; node = node.parent) node.urgent += by;
}

function check(holds: boolean, what: string): void {
  if (!holds) throw new SunstarError('SUNSTAR_BROKEN_INVARIANT', `Broken invariant: ${what}.`);
}
