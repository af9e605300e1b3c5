import type { IOBuf } from '@sunstar/iobuf';
import { native } from '@sunstar/native';
import { ERRNO, IORING_OP } from '@sunstar/runtime';
import type { Network } from '../network.js';
import { MAX_FRAGMENTS_PER_SEND } from '../send-tables.js';
import type { Transport } from '../transport.js';
import { ErrorQueue, type ErrorQueueOwner } from './error-queue.js';
import type { ZeroCopyMechanism } from './options.js';
import { ZeroCopyPolicy } from './policy.js';
import type { CopyReason } from './reasons.js';
import { copyCount, measureRun, type SendRun, shortenRun } from './send-run.js';
import type { ShardZeroCopy } from './shard-zero-copy.js';
import { ZeroCopyTracker } from './tracker.js';
import type { ZeroCopySend } from './zero-copy-send.js';

const MSG_NOSIGNAL = 0x4000;
const MSG_ZEROCOPY = 0x4000000;
const SOL_SOCKET = 1;
const SO_ZEROCOPY = 60;
const FIXED_BUF = 4;
const REPORT_USAGE = 8;

/** Whom a {@link ZeroCopySide} works for. */
export interface ZeroCopyOwner {
  /**
   * The send has completed; what the kernel accepted is no longer in the content. −EAGAIN: send again, the policy has
   * changed.
   */
  zeroCopySent(result: number): void;
}

/**
 * The zero-copy sends of one connection. Made when its output first has a large piece, so that connections with
 * small messages pay nothing.
 *
 * What a send was given is held, as a share of the output's fragments, until the kernel's notification: freeing or
 * reusing it before would change bytes that are still to be sent, or sent again.
 */
export class ZeroCopySide implements ErrorQueueOwner {
  /** After {@link trySend}: how many fragments at the front are to be copied. */
  copyCount = 0;

  readonly #transport: Transport;
  readonly #network: Network;
  readonly #shard: ShardZeroCopy;
  readonly #owner: ZeroCopyOwner;
  readonly #tracker: ZeroCopyTracker<IOBuf>;
  readonly #policy: ZeroCopyPolicy;
  readonly #sequenceBase: number;
  readonly #run: SendRun = { count: 0, sizeBytes: 0, isLarge: false };
  #mechanism: ZeroCopyMechanism;
  /** Why nothing of this connection is sent without a copy; null: it may be. */
  #excluded: CopyReason | null;
  #errorQueue: ErrorQueue | null = null;
  #content: IOBuf | null = null;
  #sequence = 0;
  /** Of the send that was submitted last, until it completes. */
  #completion: ZeroCopySend | null = null;
  readonly #isFixed: boolean;
  #table = -1;
  #isMarked = false;
  #heldBytes = 0;

  constructor(transport: Transport, network: Network, owner: ZeroCopyOwner) {
    this.#transport = transport;
    this.#network = network;
    this.#shard = network.zeroCopy;
    this.#owner = owner;
    this.#sequenceBase = this.#shard.hooks?.sequenceBase ?? 0;
    this.#tracker = new ZeroCopyTracker<IOBuf>((held) => this.#release(held), this.#sequenceBase);
    this.#policy = new ZeroCopyPolicy(transport.limits.zeroCopy === 'always');
    this.#mechanism = this.#shard.mechanism;
    this.#isFixed = this.#mechanism === 'send_zc' && this.#shard.isMemoryRegistered;
    this.#excluded = this.#exclude();
  }

  /** Sends whose notification has not come, the one that is being submitted included. */
  get inFlight(): number {
    return this.#tracker.inFlight;
  }

  /** Bytes that they hold. */
  get heldBytes(): number {
    return this.#heldBytes;
  }

  /** Something of this side is in the kernel's hands and can be cancelled. */
  get isBusy(): boolean {
    return this.#errorQueue?.isArmed === true;
  }

  #exclude(): CopyReason | null {
    const { fd, limits } = this.#transport;
    if (this.#mechanism === 'none' || limits.zeroCopy === 'never') return 'off';
    if (this.#shard.hooks?.assumesRemotePeer === true) return null;
    const peer = native.peerName(fd);
    if (typeof peer === 'number' || peer.family === 'unix') return 'notSupported';
    if (limits.zeroCopy === 'auto' && this.#transport.isPeerLocal) return 'localPeer';
    if (this.#mechanism === 'msg_zerocopy') {
      // Without this the flag is ignored: the kernel copies, and never notifies.
      if (native.setSocketOption(fd, SOL_SOCKET, SO_ZEROCOPY, 1) !== 0) return 'notSupported';
      this.#errorQueue = new ErrorQueue(this.#network.reactor, fd, this);
    }
    return null;
  }

  /**
   * Submits the front of `content`, if it is worth it.
   *
   * @returns The operation's id; −1 when {@link copyCount} fragments are to be copied first.
   */
  trySend(content: IOBuf): number {
    const run = this.#run;
    const { limits } = this.#transport;
    measureRun(content, limits.zeroCopyThresholdBytes, MAX_FRAGMENTS_PER_SEND, run);
    const reason = this.#decide(content, run);
    if (reason !== null) {
      this.#shard.counters.copied[reason]++;
      // For any other reason, what is behind it will be copied just the same: it may go along.
      this.copyCount =
        reason === 'belowThreshold'
          ? run.count
          : copyCount(content, MAX_FRAGMENTS_PER_SEND, this.#transport.maxCopyBytes);
      return -1;
    }
    this.#begin(content, run);
    try {
      return this.#submit(content, run);
    } catch (error) {
      this.#abandon();
      throw error;
    }
  }

  #decide(content: IOBuf, run: SendRun): CopyReason | null {
    if (this.#excluded !== null) return this.#excluded;
    if (!run.isLarge) return 'belowThreshold';
    if (!content.isLocal) return 'foreignMemory';
    const { counters, lockedMemory, maxHeldBytes } = this.#shard;
    const reason = this.#policy.decide(run.sizeBytes, this.#tracker.inFlight);
    if (reason !== null) return reason;
    if (this.#tracker.isFull) return 'heldMemory';
    shortenRun(content, maxHeldBytes - counters.heldBytes, run);
    if (run.count === 0) return 'heldMemory';
    if (this.#isFixed) return null;
    shortenRun(content, lockedMemory.roomBytes, run);
    return run.count === 0 ? 'lockedMemory' : null;
  }

  #begin(content: IOBuf, run: SendRun): void {
    const { reactor, tables } = this.#network;
    const shard = this.#shard;
    const isRing = this.#mechanism === 'send_zc';
    const isFixed = this.#isFixed;
    if (run.count > 1) {
      const mayHaveVector = !isRing || (shard.hasVectors && (!isFixed || shard.hasRegisteredVectors));
      this.#table = mayHaveVector ? tables.tryFill(content, run.count) : -1;
      if (this.#table < 0) shortenRun(content, content.fragmentLength(0), run);
    }
    this.#content = content;
    this.#sequence = this.#tracker.begin();
    shard.counters.inFlight++;
    if (!isFixed) shard.lockedMemory.add(run.sizeBytes);
    if (!this.#isMarked) {
      this.#isMarked = true;
      reactor.zeroCopy.own(this.#transport.fd);
    }
  }

  /** The send was not submitted after all. */
  #abandon(): void {
    const { counters, lockedMemory, sends } = this.#shard;
    if (this.#completion !== null) sends.giveBack(this.#completion);
    this.#completion = null;
    this.#releaseTable();
    if (!this.#isFixed) lockedMemory.remove(this.#run.sizeBytes);
    this.#tracker.rollback();
    counters.inFlight--;
    this.#batchEnded();
  }

  #releaseTable(): void {
    if (this.#table < 0) return;
    this.#network.tables.release(this.#table);
    this.#table = -1;
  }

  #submit(content: IOBuf, run: SendRun): number {
    const { reactor, memory } = this.#network;
    const shard = this.#shard;
    const { fd } = this.#transport;
    const isRing = this.#mechanism === 'send_zc';
    const isFixed = this.#isFixed;
    const completion = shard.sends.take(this);
    completion.sequence = this.#sequence;
    this.#completion = completion;
    const hasTable = this.#table >= 0;
    const address = hasTable ? memory.arena.address + this.#table : content.fragmentAddress(0);
    const length = hasTable ? 1 : run.sizeBytes;
    if (!isRing) {
      this.#errorQueue?.watch();
      const opcode = hasTable ? IORING_OP.SENDMSG : IORING_OP.SEND;
      return reactor.submit(completion, opcode, fd, address, length, 0, MSG_NOSIGNAL | MSG_ZEROCOPY);
    }
    return reactor.submit(
      completion,
      hasTable ? IORING_OP.SENDMSG_ZC : IORING_OP.SEND_ZC,
      fd,
      address,
      length,
      0,
      MSG_NOSIGNAL,
      0,
      (isFixed ? FIXED_BUF : 0) | (shard.reportsUsage ? REPORT_USAGE : 0),
      isFixed ? shard.registeredIndex(content.fragmentOffset(0)) : 0,
    );
  }

  /** The completion of the send. `more`: a notification follows, even if the send failed. */
  sent(result: number, more: boolean): void {
    const content = this.#content as IOBuf;
    const shard = this.#shard;
    const { counters, lockedMemory } = shard;
    const isRing = this.#mechanism === 'send_zc';
    this.#content = null;
    const hadTable = this.#table >= 0;
    this.#releaseTable();
    this.#completion = null;
    if (!this.#isFixed) lockedMemory.remove(this.#run.sizeBytes);
    const before = this.#tracker.inFlight;
    if (result > 0 || more) {
      const holder = shard.takeHolder();
      if (result > 0) content.takeFront(result, holder);
      else content.share(0, this.#run.sizeBytes, holder);
      if (shard.hooks?.releasesEarly === true) holder.clear();
      counters.heldBytes += holder.sizeBytes;
      this.#heldBytes += holder.sizeBytes;
      if (!this.#isFixed) lockedMemory.add(holder.sizeBytes);
      this.#tracker.commit(holder);
      if (isRing && !more) this.#tracker.complete(this.#sequence, this.#sequence);
    } else this.#tracker.rollback();
    counters.inFlight += this.#tracker.inFlight - before;
    if (result > 0 || more) counters.sends++;
    if (result > 0) counters.bytes += result;
    const refused = result < 0 && this.#refused(-result, hadTable, before - 1);
    this.#batchEnded();
    this.#owner.zeroCopySent(refused ? -ERRNO.EAGAIN : result);
  }

  /**
   * True when the error is one of zero copy, and not of the connection: the bytes can still be copied.
   *
   * @param othersInFlight - Sends whose notification may free what was missing.
   */
  #refused(errno: number, hadTable: boolean, othersInFlight: number): boolean {
    const shard = this.#shard;
    switch (errno) {
      case ERRNO.ENOBUFS:
      case ERRNO.ENOMEM: {
        shard.counters.outOfBuffers++;
        if (othersInFlight === 0) shard.lockedMemory.refused(this.#run.sizeBytes);
        this.#policy.outOfBuffers(othersInFlight);
        return true;
      }
      case ERRNO.EINVAL:
        // The kernel does not know a flag (Linux 6.2, 6.15), or the whole operation.
        if (this.#isFixed && hadTable && shard.hasRegisteredVectors) shard.hasRegisteredVectors = false;
        else if (this.#mechanism === 'send_zc' && shard.reportsUsage) shard.reportsUsage = false;
        else this.#excluded = 'notSupported';
        return true;
      case ERRNO.EOPNOTSUPP:
        this.#excluded = 'notSupported';
        shard.fallBack(this.#mechanism, `the kernel refuses ${this.#mechanism}`);
        return true;
      default:
        return false;
    }
  }

  /** A notification of the ring. */
  notified(sequence: number, isCopied: boolean): void {
    const { hooks } = this.#shard;
    if (hooks?.isPaused === true) {
      hooks.waiting.push(() => this.notified(sequence, isCopied));
      return;
    }
    this.#complete(sequence, sequence, isCopied);
    this.#batchEnded();
  }

  // ---- from the error queue

  rangeNotified(first: number, last: number, isCopied: boolean): void {
    const count = this.#complete(
      (first + this.#sequenceBase) >>> 0,
      (last + this.#sequenceBase) >>> 0,
      isCopied,
    );
    this.#policy.notified(isCopied, count);
  }

  batchEnded(count: number): void {
    if (count === 0) this.#shard.counters.emptyWakeUps++;
    this.#batchEnded();
  }

  watchEnded(): void {
    this.#transport.settle();
  }

  get mayRead(): boolean {
    const { hooks } = this.#shard;
    if (hooks?.isPaused !== true) return true;
    hooks.waiting.push(() => this.#errorQueue?.read());
    return false;
  }

  // ---- the end

  /** The connection is ending: nothing more will be submitted. */
  cancel(): void {
    if (this.#tracker.inFlight === 0) this.#errorQueue?.stop();
  }

  /** Resets the connection, and with that has the kernel let go of all memory; the descriptor stays. */
  disconnect(): void {
    native.disconnect(this.#transport.fd);
    if (this.mayRead) this.#errorQueue?.read();
  }

  #complete(first: number, last: number, isCopied: boolean): number {
    const tracker = this.#tracker;
    const { counters } = this.#shard;
    const wrong = tracker.duplicates + tracker.unknown;
    const before = tracker.inFlight;
    const count = tracker.complete(first, last);
    counters.inFlight += tracker.inFlight - before;
    counters.notified += count;
    if (isCopied) counters.copiedByKernel += count;
    counters.wrongNotifications += tracker.duplicates + tracker.unknown - wrong;
    return count;
  }

  #batchEnded(): void {
    const tracker = this.#tracker;
    tracker.trim();
    if (tracker.inFlight > 0) return;
    if (this.#isMarked) {
      this.#isMarked = false;
      this.#network.reactor.zeroCopy.disown(this.#transport.fd);
    }
    if (this.#transport.isSettling) {
      this.#errorQueue?.stop();
      this.#transport.settle();
    }
  }

  #release(held: IOBuf): void {
    const { counters, lockedMemory } = this.#shard;
    counters.heldBytes -= held.sizeBytes;
    this.#heldBytes -= held.sizeBytes;
    if (!this.#isFixed) lockedMemory.remove(held.sizeBytes);
    this.#shard.giveBackHolder(held);
  }

  /** Throws when the parts contradict each other. */
  invariants(): void {
    this.#tracker.invariants();
    if (this.#tracker.inFlight > 0 !== this.#isMarked)
      throw new Error('The mark of the descriptor is wrong.');
  }
}
