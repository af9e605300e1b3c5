import { IoClass, type IoGroup, OWN_SHARES } from './io-class.js';
import type { IoRequest } from './io-request.js';

const ROOT: IoGroup = {
  id: -1,
  name: 'device',
  parent: undefined,
  ioShares: 100,
  ioBytesPerSecond: Number.POSITIVE_INFINITY,
};

/**
 * Which request of which group is next: start-time fair queueing over the tree of groups. Each class has a virtual
 * time, the service that it got divided by its shares; the one with the least among its siblings is next. A class
 * that has been idle continues where its siblings are now, so that nobody saves up a turn. Classes whose bandwidth
 * is used up are passed over.
 *
 * After "Start-time Fair Queuing" (Goyal, Vin, Cheng 1996) and its use for disks in SFQ(D) (Jin, Chase, Kaur 2004).
 */
export class FairTree {
  readonly root: IoClass = new IoClass(ROOT, null);
  readonly #classes: (IoClass | undefined)[] = [];
  readonly #groupOf: (id: number) => IoGroup;
  #earliestMs = Number.POSITIVE_INFINITY;
  #searches = 0;

  constructor(groupOf: (id: number) => IoGroup) {
    this.#groupOf = groupOf;
  }

  /** When, after a {@link next} that gave nothing, a class may go on that its bandwidth held back; else Infinity. */
  get earliestMs(): number {
    return this.#earliestMs;
  }

  /** Every class that was ever used. */
  get classes(): readonly IoClass[] {
    return this.#classes.filter((one) => one !== undefined);
  }

  classOf(groupId: number): IoClass {
    return this.#classes[groupId] ?? this.#addClass(this.#groupOf(groupId));
  }

  /** Requests that wait. */
  get size(): number {
    return this.root.waitingBelow;
  }

  /** Whether a request could start now as far as bandwidth goes; if so it counts as started. */
  tryTake(of: IoClass, request: IoRequest, nowMs: number): boolean {
    for (let one: IoClass | null = of; one !== null; one = one.parent) {
      if (one.waitMs(request.sizeBytes, nowMs) > 0) return false;
    }
    this.#charge(of, request);
    return true;
  }

  add(of: IoClass, request: IoRequest): void {
    of.waiting.push(request);
    of.waitingCost += request.ioCost;
    for (let one: IoClass = of; ; one = one.parent) {
      one.waitingBelow++;
      if (one.parent === null) return;
      if (one.waitingBelow === 1) one.parent.activeChildren.push(one);
    }
  }

  /** Takes out a request that waits. */
  remove(of: IoClass, request: IoRequest): void {
    of.waiting.remove(request);
    of.waitingCost -= request.ioCost;
    if (of.waiting.size === 0) of.waitingCost = 0;
    of.reconsider();
    for (let one: IoClass = of; ; one = one.parent) {
      one.waitingBelow--;
      if (one.parent === null) return;
      if (one.waitingBelow === 0) {
        const siblings = one.parent.activeChildren;
        siblings[siblings.indexOf(one)] = siblings[siblings.length - 1];
        siblings.pop();
      }
    }
  }

  /**
   * Takes out the request whose turn it is; null when all that wait are held back by their bandwidth, or none does.
   *
   * @param onlyIdle - Null also when its class has something in flight.
   */
  next(nowMs: number, onlyIdle = false): IoRequest | null {
    this.#earliestMs = Number.POSITIVE_INFINITY;
    while (this.root.waitingBelow > 0) {
      const found = this.#pick(nowMs);
      const request = found?.waiting.first;
      if (found === null || request === null || request === undefined) return null;
      if (onlyIdle && found.inFlight > 0) return null;
      if (!this.#throttleBy(found, request.sizeBytes, nowMs)) {
        this.remove(found, request);
        this.#charge(found, request);
        return request;
      }
    }
    return null;
  }

  /** The part of the device that a class has among those that have something waiting. */
  fractionOf(of: IoClass): number {
    let fraction = 1;
    if (of.activeChildren.length > 0) fraction = OWN_SHARES / (OWN_SHARES + sharesOfChildren(of));
    for (let one = of; one.parent !== null; one = one.parent) {
      const { parent } = one;
      let all = sharesOfChildren(parent);
      if (one.waitingBelow === 0) all += one.group.ioShares;
      if (parent.waiting.size > 0) all += OWN_SHARES;
      fraction *= one.group.ioShares / all;
    }
    return fraction;
  }

  /** The class whose first request is next. */
  #pick(nowMs: number): IoClass | null {
    const search = ++this.#searches;
    let current = this.root;
    for (;;) {
      let best: IoClass | null = null;
      for (const child of current.activeChildren) {
        if (child.emptyIn === search || this.#isHeldBack(child, nowMs)) continue;
        if (best === null || child.virtualTime < best.virtualTime) best = child;
      }
      const hasOwn = current.waiting.size > 0;
      if (best !== null && (!hasOwn || best.virtualTime < current.ownVirtualTime)) current = best;
      else if (hasOwn) return current;
      else if (current.parent === null) return null;
      else {
        // Everything below is held back: its siblings are next.
        current.emptyIn = search;
        current = current.parent;
      }
    }
  }

  #isHeldBack(one: IoClass, nowMs: number): boolean {
    if (!one.isThrottled(nowMs)) return false;
    if (one.throttledUntilMs < this.#earliestMs) this.#earliestMs = one.throttledUntilMs;
    return true;
  }

  /** Holds back the first class on the way up whose bandwidth does not allow so much. */
  #throttleBy(of: IoClass, sizeBytes: number, nowMs: number): boolean {
    for (let one: IoClass | null = of; one !== null; one = one.parent) {
      const waitMs = one.waitMs(sizeBytes, nowMs);
      if (waitMs > 0) {
        one.throttle(nowMs + waitMs);
        return true;
      }
    }
    return false;
  }

  #charge(of: IoClass, request: IoRequest): void {
    const cost = request.ioCost;
    of.clock = Math.max(of.clock, of.ownVirtualTime);
    of.ownVirtualTime = Math.max(of.ownVirtualTime, of.clock) + cost / OWN_SHARES;
    for (let one = of; one.parent !== null; one = one.parent) {
      const { parent } = one;
      // Whoever was idle, or held back, goes on where the others are.
      const start = Math.max(one.virtualTime, parent.clock);
      parent.clock = start;
      one.virtualTime = start + cost / one.group.ioShares;
      one.take(request.sizeBytes);
    }
  }

  #addClass(group: IoGroup): IoClass {
    // An id that this shard does not know is counted for another group.
    const existing = this.#classes[group.id];
    if (existing !== undefined) return existing;
    const parent = group.parent === undefined ? this.root : this.classOf(group.parent.id);
    const added = new IoClass(group, parent);
    added.virtualTime = parent.clock;
    this.#classes[group.id] = added;
    return added;
  }

  /** Throws when the state contradicts itself. For tests. */
  invariants(check: (holds: boolean, what: string) => void): void {
    for (const one of [this.root, ...this.classes]) {
      one.waiting.invariants(check);
      const children = this.classes.filter((child) => child.parent === one);
      const below = children.reduce((sum, child) => sum + child.waitingBelow, one.waiting.size);
      check(one.waitingBelow === below, `'${one.group.name}' counts what waits below`);
      const active = new Set(one.activeChildren);
      check(active.size === one.activeChildren.length, 'an active class is listed once');
      for (const child of children) {
        check(active.has(child) === child.waitingBelow > 0, 'classes are active while something waits');
      }
      let cost = 0;
      for (let request = one.waiting.first; request !== null; request = request.ioNext)
        cost += request.ioCost;
      check(Math.abs(cost - one.waitingCost) < 1, 'the cost of what waits adds up');
    }
  }
}

function sharesOfChildren(of: IoClass): number {
  let shares = 0;
  for (const child of of.activeChildren) shares += child.group.ioShares;
  return shares;
}
