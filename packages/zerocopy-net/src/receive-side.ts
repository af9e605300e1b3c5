import { IOBuf } from '@sunstar/iobuf';
import {
  type Completion,
  ERRNO,
  IORING_CQE_F,
  IORING_OP,
  IORING_RECVSEND,
  IOSQE,
  OutOfMemoryError,
  swapGroup,
  systemError,
} from '@sunstar/runtime';
import { nothingToRetain } from './errors.js';
import type { Network } from './network.js';
import type { BufferWaiter } from './receive-pool.js';
import { type Transport, TransportState } from './transport.js';

/**
 * The input of a {@link Transport}: one multishot receive, which takes a buffer of the shard's
 * {@link ReceivePool} for each piece of data and stays armed until it is cancelled, fails, or finds
 * the pool empty.
 */
export class ReceiveSide implements Completion, BufferWaiter {
  readonly #transport: Transport;
  readonly #network: Network;

  #reading = false;
  #paused = false;
  #armed = false;
  #operationId = 0;
  #waiting = false;
  /** The peer's FIN was received. */
  #peerEnded = false;
  /** This side wants no more input. */
  #stopped = false;
  #endDelivered = false;
  /** What arrived while paused, to be delivered first. */
  #held: IOBuf | null = null;
  /** The range that onData looks at now; its length is 0 when there is none, or it was taken. */
  #currentOffset = 0;
  #currentLength = 0;
  /** Whether that range is a receive buffer, or held. */
  #currentInPool = false;
  /** Where the pieces lie whose completions wait for a turn of their scheduling group, first in, first out. */
  readonly #arrivals: number[] = [];

  constructor(transport: Transport, network: Network) {
    this.#transport = transport;
    this.#network = network;
  }

  /** A receive is in flight: the kernel may write to receive buffers on behalf of this descriptor. */
  get isArmed(): boolean {
    return this.#armed;
  }

  get isPaused(): boolean {
    return this.#paused;
  }

  get peerEnded(): boolean {
    return this.#peerEnded;
  }

  /** The owner was told that there is no more input. */
  get endDelivered(): boolean {
    return this.#endDelivered;
  }

  /** Begins to receive. */
  start(): void {
    this.#reading = true;
    this.arm();
  }

  /** No onData and no onEnd until {@link resume}. What the kernel has received already is held. */
  pause(): void {
    if (this.#paused || this.#transport.state !== TransportState.Open) return;
    this.#paused = true;
    this.cancel();
  }

  /** Receives again; what was held is delivered first, in a later step of the tick. */
  resume(): void {
    if (!this.#paused) return;
    this.#paused = false;
    this.#transport.enqueue();
  }

  /** Ends the input as the owner sees it, after what is held: part of an orderly stop. */
  stop(): void {
    // While it closes, input is only awaited for the peer's FIN.
    if (this.#stopped || this.#peerEnded || this.#transport.state !== TransportState.Open) return;
    this.#stopped = true;
    this.#paused = false;
    this.cancel();
    this.#transport.enqueue();
  }

  /** Everything from now on is discarded, up to the peer's FIN. */
  discard(): void {
    this.#paused = false;
    this.#stopped = false;
    this.start();
  }

  /** Asks the kernel to end the receive; {@link isArmed} tells when it has. */
  cancel(): void {
    if (this.#waiting) {
      this.#waiting = false;
      this.#network.pool.stopWaiting(this);
    }
    if (this.#armed) this.#network.reactor.cancel(this.#operationId);
  }

  /** Frees what was held. */
  dispose(): void {
    this.#held?.[Symbol.dispose]();
    this.#held = null;
  }

  /** Puts bytes back, to be delivered before anything else. Takes over the content. */
  unread(content: IOBuf): void {
    if (this.#held !== null) {
      content.appendIOBuf(this.#held);
      this.#held[Symbol.dispose]();
    }
    this.#held = content;
    this.#transport.enqueue();
  }

  /**
   * Moves the bytes that onData was called with to the end of `target`: small ones, and any when few
   * receive buffers are left, are copied; else the receive buffer itself becomes a fragment.
   *
   * @param isBrief - They are let go of soon: even small ones are not worth a copy.
   */
  takeInto(target: IOBuf, isBrief = false): void {
    const length = this.#currentLength;
    if (length === 0) throw nothingToRetain();
    const pool = this.#network.pool;
    if (!this.#currentInPool || (length <= pool.copiedBytes && !isBrief) || pool.isLow) {
      try {
        target.appendRange(this.#currentOffset, length);
        this.#currentLength = 0;
        return;
      } catch (error) {
        // Without memory for a copy, the receive buffer can still be adopted.
        if (!this.#currentInPool || !(error instanceof OutOfMemoryError)) throw error;
      }
    }
    target.adopt(this.#currentOffset, length, 0, length, pool);
    pool.adopted(this.#currentOffset);
    this.#currentLength = 0;
  }

  /** With several scheduling groups: the pool hears of the pieces in the kernel's order, whoever has the next turn. */
  arrived(result: number, flags: number): void {
    if ((flags & IORING_CQE_F.BUFFER) !== 0)
      this.#arrivals.push(this.#network.pool.take(flags >>> 16, Math.max(0, result), flags));
  }

  /** The receive's completion. */
  complete(result: number, flags: number): void {
    if ((flags & IORING_CQE_F.MORE) === 0) this.#armed = false;
    if ((flags & IORING_CQE_F.BUFFER) !== 0) {
      const pool = this.#network.pool;
      const buffer = flags >>> 16;
      const waited = this.#arrivals.length > 0 ? this.#arrivals.shift() : undefined;
      const offset = waited ?? pool.take(buffer, Math.max(0, result), flags);
      if (result > 0) this.#accept(offset, result);
      pool.done(buffer);
    }
    if (this.#armed) return;
    if (this.#transport.state >= TransportState.Settling) this.#transport.settle();
    else if (result > 0) this.arm();
    else this.#ended(result);
  }

  #accept(offset: number, length: number): void {
    const transport = this.#transport;
    transport.stats.receives++;
    transport.stats.bytesIn += length;
    transport.lastActivityMs = this.#network.reactor.nowMs;
    if (transport.state !== TransportState.Open || this.#endDelivered) return;
    this.#currentInPool = true;
    this.#currentOffset = offset;
    this.#currentLength = length;
    try {
      if (this.#paused || this.#held !== null) {
        this.#held ??= new IOBuf(this.#network.memory);
        this.takeInto(this.#held);
      } else {
        transport.owner.onData(offset, length);
      }
    } catch (error) {
      transport.ownerFailed(error);
    }
    this.#currentLength = 0;
  }

  #ended(result: number): void {
    switch (-result) {
      case 0:
        this.#peerEnded = true;
        this.#transport.halfOpened();
        if (this.#transport.state === TransportState.Lingering) this.#transport.tearDown(null);
        else this.#deliverEnd();
        return;
      case ERRNO.ENOBUFS:
        this.#transport.stats.bufferPoolExhausted++;
        if (this.#paused || this.#stopped) return;
        this.#waiting = true;
        this.#network.pool.wait(this);
        return;
      case ERRNO.ECANCELED:
      case ERRNO.EINTR:
      case ERRNO.EAGAIN:
        // Resumed before the cancel took effect.
        this.arm();
        return;
      default:
        this.#transport.failed(systemError('recv', result));
    }
  }

  /** Called by the pool. */
  buffersAvailable(): void {
    this.#waiting = false;
    this.arm();
  }

  /** Submits the receive if it is wanted and not in flight. */
  arm(): void {
    if (!this.#reading || this.#armed || this.#waiting || this.#paused || this.#stopped || this.#peerEnded)
      return;
    if (this.#transport.state >= TransportState.Settling) return;
    this.#armed = true;
    const before = swapGroup(this.#transport.groupId);
    try {
      this.#submit();
    } finally {
      swapGroup(before);
    }
  }

  #submit(): void {
    this.#operationId = this.#network.reactor.submit(
      this,
      IORING_OP.RECV,
      this.#transport.fd,
      0,
      0,
      0,
      0,
      IOSQE.BUFFER_SELECT,
      IORING_RECVSEND.RECV_MULTISHOT,
      this.#network.pool.groupId,
    );
  }

  /** Delivers what {@link pause}, {@link unread} and {@link stop} left for later. */
  deliver(): void {
    if (this.#held !== null) this.#deliverHeld(this.#held);
    this.#deliverEnd();
  }

  #deliverHeld(held: IOBuf): void {
    const transport = this.#transport;
    while (held.sizeBytes > 0 && !this.#paused && transport.state === TransportState.Open) {
      const length = held.fragmentLength(0);
      this.#currentInPool = false;
      this.#currentOffset = held.fragmentOffset(0);
      this.#currentLength = length;
      try {
        transport.owner.onData(this.#currentOffset, length);
      } catch (error) {
        transport.ownerFailed(error);
      }
      this.#currentLength = 0;
      held.trimFront(length);
    }
    if (held.sizeBytes === 0 || transport.state !== TransportState.Open) this.dispose();
  }

  #deliverEnd(): void {
    if (this.#endDelivered || !(this.#peerEnded || this.#stopped) || this.#paused || this.#held !== null)
      return;
    const transport = this.#transport;
    if (transport.state !== TransportState.Open) return;
    this.#endDelivered = true;
    try {
      transport.owner.onEnd();
    } catch (error) {
      transport.ownerFailed(error);
    }
    // The output may have ended before: then nothing is left to do.
    transport.enqueue();
  }
}
