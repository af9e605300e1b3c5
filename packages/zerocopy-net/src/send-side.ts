import { IOBuf } from '@sunstar/iobuf';
import { type Completion, ERRNO, IORING_OP, SunstarError, systemError } from '@sunstar/runtime';
import { handlerFailed, outputLimit } from './errors.js';
import type { Network } from './network.js';
import { MAX_FRAGMENTS_PER_SEND } from './send-tables.js';
import { type Transport, TransportState } from './transport.js';
import { copyCount, MAX_SEND_BYTES } from './zero-copy/send-run.js';
import { type ZeroCopyOwner, ZeroCopySide } from './zero-copy/zero-copy-side.js';

const MSG_NOSIGNAL = 0x4000;
/** Sent in full before the call ends, or a failure: then nobody needs to be told of its success. */
const AT_ONCE = MSG_NOSIGNAL | 0x40 /* MSG_DONTWAIT */ | 0x100; /* MSG_WAITALL */
/** What a socket has room for, as a rule, when nothing is waiting; so much may stay allocated while a shard sleeps. */
const MAX_AT_ONCE_BYTES = 16_384;
const SHUT_WR = 1;

/** Half-close: not asked for; FIN after what is waiting; FIN in flight; FIN sent. */
const Ending = { No: 0, Asked: 1, InFlight: 2, Done: 3 } as const;

class ShutdownOperation implements Completion {
  readonly #side: SendSide;
  constructor(side: SendSide) {
    this.#side = side;
  }
  complete(result: number): void {
    this.#side.shutDown(result);
  }
}

/**
 * The output of a {@link Transport}: one send in flight at a time, so that bytes leave in order, and
 * one send per tick, however many small writes the tick made.
 *
 * The bytes in flight are in a buffer of their own: whatever the application does with `output`, what
 * the kernel reads stays as it is until the send completes.
 */
export class SendSide implements Completion, ZeroCopyOwner {
  /** Bytes to send; append, then {@link flush}. Never in the kernel's hands. */
  readonly output: IOBuf;

  readonly #transport: Transport;
  readonly #network: Network;
  readonly #inFlight: IOBuf;
  #isSending = false;
  #operationId = 0;
  #table = -1;
  /** Bytes of the send that is to be over at once; 0 for one that may wait. */
  #atOnceBytes = 0;
  /** The socket had no room: the next send waits for it. */
  #isFull = false;
  #ending: number = Ending.No;
  #aboveHighWater = false;
  #zeroCopy: ZeroCopySide | null = null;

  constructor(transport: Transport, network: Network) {
    this.#transport = transport;
    this.#network = network;
    this.output = new IOBuf(network.memory);
    this.#inFlight = new IOBuf(network.memory);
  }

  /** Bytes that the kernel has not accepted yet. */
  get pendingBytes(): number {
    return this.#inFlight.sizeBytes + this.output.sizeBytes;
  }

  /** More than `outputHighWaterBytes` was waiting: onDrain will tell when less than half of it is. */
  get isAboveHighWater(): boolean {
    return this.#aboveHighWater;
  }

  /** Nothing waits, and the socket had room: what is appended now leaves at the end of the tick. */
  get leavesAtOnce(): boolean {
    return !this.isBusy && !this.#isFull && this.pendingBytes === 0;
  }

  /** Something of this side is in the kernel's hands, and will complete when it is cancelled. */
  get isBusy(): boolean {
    return this.#isSending || this.#ending === Ending.InFlight;
  }

  /** Zero-copy sends whose memory the kernel may still read: the descriptor must stay open for their notifications. */
  get zeroCopyInFlight(): number {
    return this.#zeroCopy === null ? 0 : this.#zeroCopy.inFlight;
  }

  /** Bytes that they hold. */
  get zeroCopyHeldBytes(): number {
    return this.#zeroCopy === null ? 0 : this.#zeroCopy.heldBytes;
  }

  /** The error queue is being watched: it ends by itself after the last notification. */
  get isWatching(): boolean {
    return this.#zeroCopy?.isBusy === true;
  }

  /** {@link end} was called. */
  get isEnding(): boolean {
    return this.#ending !== Ending.No;
  }

  /** FIN was sent. */
  get isEnded(): boolean {
    return this.#ending === Ending.Done;
  }

  /** Sends what was appended to {@link output}, in a later step of the tick. */
  flush(): void {
    const { state, limits, stats } = this.#transport;
    if (state >= TransportState.Lingering || this.#ending >= Ending.InFlight) {
      this.output.clear();
      return;
    }
    const pending = this.pendingBytes;
    if (pending > limits.outputHighWaterBytes) {
      this.#aboveHighWater = true;
      if (pending > limits.maxOutputBytes) {
        stats.outputLimitCloses++;
        this.#transport.reset(outputLimit(pending, limits.maxOutputBytes));
        return;
      }
    }
    this.#transport.enqueue();
  }

  /** FIN after what is waiting. */
  end(): void {
    if (this.#ending !== Ending.No) return;
    this.#ending = Ending.Asked;
    this.#transport.enqueue();
  }

  /** Asks the kernel to end the send; {@link isBusy} tells when it has. */
  cancel(): void {
    if (this.#isSending) this.#network.reactor.cancel(this.#operationId);
    this.#zeroCopy?.cancel();
  }

  /** Resets the connection so that all zero-copy sends are notified; the descriptor stays open. */
  disconnect(): void {
    this.#zeroCopy?.disconnect();
  }

  /** Frees all output; only when {@link isBusy} is false. */
  dispose(): void {
    this.#inFlight.clear();
    // Not disposed: who appends to a connection that has just closed, and then flushes, does no harm.
    this.output.clear();
  }

  /** Does the next thing, if nothing is in flight. True when output and FIN are out, or not needed. */
  advance(): boolean {
    this.#notifyDrain();
    if (this.isBusy || this.#transport.state >= TransportState.Settling) return false;
    if (this.output.sizeBytes > 0) this.#inFlight.take(this.output);
    if (this.#inFlight.sizeBytes > 0) {
      this.#send();
      return false;
    }
    if (this.#ending !== Ending.Asked) return this.#ending === Ending.Done;
    // After the peer's FIN, closing the descriptor sends ours.
    if (this.#transport.state === TransportState.Draining && this.#transport.receiveSide.peerEnded)
      return true;
    this.#ending = Ending.InFlight;
    this.#network.reactor.submit(
      new ShutdownOperation(this),
      IORING_OP.SHUTDOWN,
      this.#transport.fd,
      0,
      SHUT_WR,
      0,
    );
    return false;
  }

  #send(): void {
    try {
      this.#submit();
      this.#isSending = true;
    } catch (error) {
      // Memory that somebody transferred away, or a full ring: this connection's end, and nobody else's.
      this.#releaseTable();
      this.#transport.reset(error instanceof SunstarError ? error : handlerFailed(error));
    }
  }

  #releaseTable(): void {
    if (this.#table < 0) return;
    this.#network.tables.release(this.#table);
    this.#table = -1;
  }

  #submit(): void {
    const { reactor, memory, tables } = this.#network;
    const content = this.#inFlight;
    const { sizeBytes, fragmentCount } = content;
    let count = fragmentCount;
    if (sizeBytes > MAX_SEND_BYTES || fragmentCount > MAX_FRAGMENTS_PER_SEND)
      count = copyCount(content, MAX_FRAGMENTS_PER_SEND, this.#transport.maxCopyBytes);
    if (sizeBytes >= this.#transport.limits.zeroCopyThresholdBytes) {
      this.#zeroCopy ??= new ZeroCopySide(this.#transport, this.#network, this);
      const id = this.#zeroCopy.trySend(content);
      if (id >= 0) {
        this.#operationId = id;
        return;
      }
      count = this.#zeroCopy.copyCount;
    }
    // Without memory for a table, the first fragment goes alone.
    if (count > 1) this.#table = tables.tryFill(content, count);
    const hasTable = this.#table >= 0;
    const { fd } = this.#transport;
    const opcode = hasTable ? IORING_OP.SENDMSG : IORING_OP.SEND;
    const address = hasTable ? memory.arena.address + this.#table : content.fragmentAddress(0);
    const length = hasTable ? 1 : content.fragmentLength(0);
    const isAll = count === fragmentCount && (hasTable || count === 1);
    if (isAll && this.#mayBeAtOnce(sizeBytes)) {
      this.#atOnceBytes = sizeBytes;
      this.#operationId = reactor.submitAtOnce(this, opcode, fd, address, length, AT_ONCE, sizeBytes);
    } else {
      this.#operationId = reactor.submit(this, opcode, fd, address, length, 0, MSG_NOSIGNAL);
    }
  }

  /** Whether nobody waits for the end of a send of all that there is. */
  #mayBeAtOnce(sizeBytes: number): boolean {
    return (
      sizeBytes <= MAX_AT_ONCE_BYTES && !this.#isFull && !this.#aboveHighWater && this.#ending === Ending.No
    );
  }

  /** The completion of a send with copies. */
  complete(result: number): void {
    this.#releaseTable();
    this.#isFull = result < this.#atOnceBytes;
    this.#atOnceBytes = 0;
    if (result === this.#inFlight.sizeBytes) this.#inFlight.clear();
    else if (result > 0) this.#inFlight.trimFront(result);
    this.zeroCopySent(result);
  }

  /** What was sent is no longer in the content. */
  zeroCopySent(result: number): void {
    const transport = this.#transport;
    this.#isSending = false;
    if (result > 0) {
      transport.stats.sends++;
      transport.stats.bytesOut += result;
      transport.lastActivityMs = this.#network.reactor.nowMs;
    }
    if (transport.state >= TransportState.Settling) transport.settle();
    else if (result < 0 && result !== -ERRNO.EAGAIN && result !== -ERRNO.EINTR) {
      transport.failed(systemError('send', result));
    } else if (this.#aboveHighWater || this.#ending !== Ending.No || this.pendingBytes > 0) {
      transport.enqueue();
    }
  }

  /** The shutdown's completion. */
  shutDown(result: number): void {
    this.#ending = Ending.Done;
    const transport = this.#transport;
    transport.halfOpened();
    if (transport.state >= TransportState.Settling) transport.settle();
    else if (result < 0) transport.failed(systemError('shutdown', result));
    else transport.enqueue();
  }

  /** Throws when the parts contradict each other. */
  invariants(): void {
    this.#zeroCopy?.invariants();
  }

  #notifyDrain(): void {
    const transport = this.#transport;
    if (!this.#aboveHighWater || this.pendingBytes >= transport.limits.outputHighWaterBytes / 2) return;
    this.#aboveHighWater = false;
    try {
      transport.owner.onDrain();
    } catch (error) {
      transport.ownerFailed(error);
    }
  }
}
