import { IoRequestList } from './io-request.js';
import { TokenBucket } from './token-bucket.js';

/** What a queue must know of a scheduling group; shares and bandwidth may change at any time. */
export interface IoGroup {
  readonly id: number;
  readonly name: string;
  readonly parent: IoGroup | undefined;
  /** 1 to 1000. */
  readonly ioShares: number;
  /** Infinity for no cap. */
  readonly ioBytesPerSecond: number;
}

/** Shares of the requests of a group itself among its child groups. */
export const OWN_SHARES = 100;
/** A capped group may run ahead by what it gets in this time … */
const BURST_MS = 20;
/** … or by one large request. */
const MIN_BURST_BYTES = 131_072;

/**
 * One scheduling group at one device: its waiting requests, its place among its siblings by virtual time, and the
 * bucket of its bandwidth. The classes of a device are a tree like the groups.
 */
export class IoClass {
  readonly group: IoGroup;
  readonly parent: IoClass | null;
  readonly waiting: IoRequestList = new IoRequestList();
  /** Child classes that have, or have children that have, something waiting. */
  readonly activeChildren: IoClass[] = [];
  /** Requests that wait here and below. */
  waitingBelow = 0;
  /** Cost of the requests that wait here. */
  waitingCost = 0;
  /** Service that it got among its siblings, cost ÷ shares. */
  virtualTime = 0;
  /** The same for its own requests, among its children. */
  ownVirtualTime = 0;
  /** Virtual time of the child that was served last. */
  clock = 0;
  lastActiveMs: number = Number.NEGATIVE_INFINITY;
  inFlight = 0;
  /** The search in which nothing was found below it. */
  emptyIn = 0;
  /** Counters for stats. */
  started = 0;
  startedBytes = 0;
  queuedTotal = 0;
  queuedTotalMs = 0;
  refused = 0;
  cancelled = 0;
  throttled = 0;
  #bucket: TokenBucket | null = null;
  #throttledUntilMs = 0;
  #throttledRate = 0;

  constructor(group: IoGroup, parent: IoClass | null) {
    this.group = group;
    this.parent = parent;
  }

  /** How long this class's own cap holds a request back; 0 when not. */
  waitMs(sizeBytes: number, nowMs: number): number {
    const rate = this.group.ioBytesPerSecond;
    if (rate === Number.POSITIVE_INFINITY) {
      this.#bucket = null;
      return 0;
    }
    const burstBytes = Math.max((rate * BURST_MS) / 1000, MIN_BURST_BYTES);
    if (this.#bucket === null) this.#bucket = new TokenBucket(rate, burstBytes, nowMs);
    else if (this.#bucket.bytesPerSecond !== rate) this.#bucket.configure(rate, burstBytes, nowMs);
    return this.#bucket.waitMs(sizeBytes, nowMs);
  }

  /** Takes what {@link waitMs} has allowed. */
  take(sizeBytes: number): void {
    this.#bucket?.take(sizeBytes);
  }

  /** Until when {@link isThrottled} holds it back. */
  get throttledUntilMs(): number {
    return this.#throttledUntilMs;
  }

  /** Holds it back until its bandwidth allows more, or the cap is changed. */
  throttle(untilMs: number): void {
    this.#throttledUntilMs = untilMs;
    this.#throttledRate = this.group.ioBytesPerSecond;
    this.throttled++;
  }

  /** Whether it is held back. */
  isThrottled(nowMs: number): boolean {
    if (this.#throttledUntilMs === 0) return false;
    if (this.#throttledUntilMs > nowMs && this.#throttledRate === this.group.ioBytesPerSecond) return true;
    this.#throttledUntilMs = 0;
    return false;
  }

  /** Ends that: whether it is held back is to be found out again. */
  reconsider(): void {
    this.#throttledUntilMs = 0;
  }
}
