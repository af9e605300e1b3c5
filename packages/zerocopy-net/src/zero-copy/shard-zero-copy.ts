import { IOBuf } from '@sunstar/iobuf';
import { native } from '@sunstar/native';
import { errnoName, IORING_OP, type ShardMemory } from '@sunstar/runtime';
import { mayHaveHugePages } from './huge-page-mapping.js';
import { LocalAddresses } from './local-addresses.js';
import { LockedMemory } from './locked-memory.js';
import type { ZeroCopyMechanism, ZeroCopyOptions } from './options.js';
import { zeroCopyMechanism } from './options.js';
import { newZeroCopyCounters, type ZeroCopyCounters, type ZeroCopyStats } from './stats.js';
import type { ZeroCopyTestHooks } from './test-hooks.js';
import { ZeroCopySends } from './zero-copy-send.js';

/** Empty buffers that are kept for the next send; more are disposed. */
const KEPT_HOLDERS = 256;
/** The kernel registers at most 1 GiB as one buffer; blocks of the arena never lie across such a border. */
const REGISTERED_BUFFER_BYTES = 2 ** 30;

/** What zero copy needs to know of the ring. */
export interface ZeroCopyRing {
  /** One byte for each operation code, 1 where the kernel supports it; or an error number. */
  probe(): Uint8Array | number;
  /** Registers the shard's memory; 0 or a negative error number. */
  registerMemory(): number;
}

/** What the zero-copy sends of one shard share: how they are made, what they may hold, and what they have done. */
export class ShardZeroCopy {
  readonly counters: ZeroCopyCounters = newZeroCopyCounters();
  readonly addresses: LocalAddresses;
  readonly lockedMemory: LockedMemory;
  readonly sends: ZeroCopySends = new ZeroCopySends();
  readonly maxHeldBytes: number;
  /** Whether SENDMSG_ZC exists: without it only one fragment leaves with each send. */
  readonly hasVectors: boolean;
  readonly isMemoryRegistered: boolean;
  /** Whether the kernel can send several pieces of registered memory at once; found out by trying. */
  hasRegisteredVectors: boolean;
  /** Whether the kernel can tell if it copied; found out by trying. */
  reportsUsage = true;
  /** For tests. */
  hooks: ZeroCopyTestHooks | null = null;

  readonly #memory: ShardMemory;
  readonly #holders: IOBuf[] = [];
  #mechanism: ZeroCopyMechanism;
  #mechanismReason: string;
  #registrationReason = 'not asked for';

  constructor(
    memory: ShardMemory,
    ring: ZeroCopyRing,
    shardCount: number,
    nowMs: () => number,
    options: ZeroCopyOptions,
    maxHeldBytes: number,
  ) {
    this.#memory = memory;
    this.addresses = new LocalAddresses(nowMs);
    this.lockedMemory = new LockedMemory(native.lockedMemoryLimit(), shardCount);
    this.maxHeldBytes = maxHeldBytes;
    const supported = ring.probe();
    const has = (opcode: number): boolean => typeof supported !== 'number' && supported[opcode] === 1;
    this.hasVectors = has(IORING_OP.SENDMSG_ZC);
    // All pieces must lie in the same registered buffer.
    this.hasRegisteredVectors = memory.arena.sizeBytes <= REGISTERED_BUFFER_BYTES;
    const wanted = zeroCopyMechanism(options.mechanism);
    if (wanted !== 'auto') {
      this.#mechanism = wanted;
      this.#mechanismReason = 'asked for';
    } else if (has(IORING_OP.SEND_ZC)) {
      this.#mechanism = 'send_zc';
      this.#mechanismReason = 'the kernel has SEND_ZC';
    } else {
      this.#mechanism = 'msg_zerocopy';
      this.#mechanismReason = 'the kernel has no SEND_ZC';
    }
    this.isMemoryRegistered = options.registerMemory === true && this.#register(ring);
  }

  get mechanism(): ZeroCopyMechanism {
    return this.#mechanism;
  }

  /** The next mechanism in order, for connections that have not begun: the kernel refused this one. */
  fallBack(from: ZeroCopyMechanism, reason: string): void {
    if (from !== this.#mechanism) return;
    this.#mechanism = from === 'send_zc' ? 'msg_zerocopy' : 'none';
    this.#mechanismReason = reason;
  }

  /** An empty buffer for what a send holds. */
  takeHolder(): IOBuf {
    return this.#holders.pop() ?? new IOBuf(this.#memory);
  }

  /** Takes a buffer back, with what it still holds. */
  giveBackHolder(holder: IOBuf): void {
    if (this.#holders.length < KEPT_HOLDERS) {
      holder.clear();
      this.#holders.push(holder);
    } else holder[Symbol.dispose]();
  }

  /** The registered buffer that an address of the arena lies in. */
  registeredIndex(offset: number): number {
    return Math.floor(offset / REGISTERED_BUFFER_BYTES);
  }

  stats(): ZeroCopyStats {
    return {
      ...this.counters,
      copied: { ...this.counters.copied },
      mechanism: this.#mechanism,
      mechanismReason: this.#mechanismReason,
      isMemoryRegistered: this.isMemoryRegistered,
      registrationReason: this.#registrationReason,
      lockedMemoryLimitBytes: this.lockedMemory.limitBytes,
    };
  }

  /** Throws when sends hold what is not in flight, or the other way round. */
  invariants(): void {
    const { inFlight, heldBytes } = this.counters;
    if (inFlight < 0 || heldBytes < 0) throw new Error('more notifications than zero-copy sends');
    if (inFlight === 0 && (heldBytes > 0 || this.lockedMemory.usedBytes > 0))
      throw new Error('memory is held and nothing is in flight');
  }

  #register(ring: ZeroCopyRing): boolean {
    if (this.#mechanism !== 'send_zc') {
      this.#registrationReason = `${this.#mechanism} has no use for it`;
      return false;
    }
    // The kernel (seen in 6.18) charges the socket for each piece of a registered huge page as if it began with the page:
    // 10 KiB count as up to 2 MiB, the buffers of both ends are full at once, and each send waits for a timer.
    if (mayHaveHugePages(this.#memory.arena.address)) {
      this.#registrationReason =
        "huge pages: the kernel counts such sends as megabytes; use hugePages: 'never'";
      return false;
    }
    const result = ring.registerMemory();
    this.#registrationReason = result >= 0 ? 'asked for' : `the kernel refuses: ${errnoName(-result)}`;
    return result >= 0;
  }
}
