import { native } from '@sunstar/native';
import { currentGroupId, type SunstarError } from '@sunstar/runtime';
import { closeTimeout, firstByteTimeout, halfOpenTimeout, handlerFailed, idleTimeout } from './errors.js';
import type { Network } from './network.js';
import type { ConnectionLimits } from './options.js';
import { ReceiveSide } from './receive-side.js';
import { SendSide } from './send-side.js';
import type { ConnectionStats } from './stats.js';
import { MAX_LOCAL_SEND_BYTES, MAX_SEND_BYTES } from './zero-copy/send-run.js';

/** What a transport tells the layer above. Called inside the tick; may call the transport back. */
export interface TransportOwner {
  /** Bytes arrived: a range of the arena that is valid during the call; see `takeInto`. */
  onData(offset: number, length: number): void;
  /** There is no more input. */
  onEnd(): void;
  /** Less than half of `outputHighWaterBytes` is waiting, after more than all of it was. */
  onDrain(): void;
  /** The last call, exactly once: the descriptor is closed and all memory is free. */
  onClose(error: SunstarError | null): void;
}

/**
 * The life of a descriptor. Each state allows less than the one before; none is entered twice.
 *
 * | State     | Entered by                             | Input     | Output                       |
 * |-----------|----------------------------------------|-----------|------------------------------|
 * | Open      |                                        | delivered | sent                         |
 * | Draining  | close()                                | discarded | what is waiting, then FIN    |
 * | Lingering | our FIN is out, the peer's not seen    | discarded | none                         |
 * | Settling  | reset, error, deadline, or all is done | cancelled | cancelled                    |
 * |           | … then, while zero-copy sends are held | none      | taken by the peer, or reset  |
 * | Closing   | the last operation has completed       | none      | none; the descriptor closes  |
 * | Closed    | the descriptor is closed               |           |                              |
 */
export const TransportState = {
  Open: 0,
  Draining: 1,
  Lingering: 2,
  Settling: 3,
  Closing: 4,
  Closed: 5,
} as const;

/**
 * A connected stream socket on the ring: at most one multishot receive, one send and one shutdown in
 * flight. Two rules hold in every state: memory that the kernel may read or write is freed only after
 * the completion of its operation, and the descriptor is closed, once, only when nothing is in flight.
 */
export class Transport {
  readonly fd: number;
  readonly owner: TransportOwner;
  readonly limits: ConnectionLimits;
  readonly stats: ConnectionStats;
  /** The scheduling group that accepted or connected it: everything that the transport does by itself runs there. */
  readonly groupId: number = currentGroupId();
  readonly receiveSide: ReceiveSide;
  readonly sendSide: SendSide;
  /** When something was received or sent last, on the reactor's clock; −1 before. */
  lastActivityMs = -1;

  readonly #network: Network;
  readonly #openedMs: number;
  #state: number = TransportState.Open;
  #error: SunstarError | null = null;
  #isQueued = false;
  #closeDeadlineMs = 0;
  /** When one side ended; −1 before. */
  #halfOpenMs = -1;
  /** The connection ends by force: what it holds is not waited for. */
  #isForced = false;
  #isDraining = false;
  #isPeerLocal: boolean | undefined;

  constructor(
    network: Network,
    fd: number,
    owner: TransportOwner,
    limits: ConnectionLimits,
    stats: ConnectionStats,
  ) {
    this.#network = network;
    this.fd = fd;
    this.owner = owner;
    this.limits = limits;
    this.stats = stats;
    this.#openedMs = network.clock();
    this.receiveSide = new ReceiveSide(this, network);
    this.sendSide = new SendSide(this, network);
    stats.open++;
    network.opened(this);
  }

  /** One of {@link TransportState}. */
  get state(): number {
    return this.#state;
  }

  /** The descriptor closes as soon as nothing is in flight. */
  get isSettling(): boolean {
    return this.#state === TransportState.Settling;
  }

  /** What ended the connection early, if anything did. */
  get error(): SunstarError | null {
    return this.#error;
  }

  /** The peer has an address of this machine. */
  get isPeerLocal(): boolean {
    if (this.#isPeerLocal === undefined) {
      const peer = native.peerName(this.fd);
      this.#isPeerLocal =
        typeof peer !== 'number' &&
        peer.family !== 'unix' &&
        (this.#network.zeroCopy.addresses.has(peer.address) || this.#isOwnAddress(peer.address));
    }
    return this.#isPeerLocal;
  }

  /** The addresses of a device without a carrier are in no list: this machine reaches them from the same address. */
  #isOwnAddress(address: string): boolean {
    const own = native.socketName(this.fd);
    return typeof own !== 'number' && own.address === address;
  }

  /** The most bytes of one send with copies. */
  get maxCopyBytes(): number {
    return this.isPeerLocal ? MAX_LOCAL_SEND_BYTES : MAX_SEND_BYTES;
  }

  /** Sends what is waiting and FIN, waits for the peer's FIN, closes; by force after closeTimeoutMs. */
  close(): void {
    if (this.#state !== TransportState.Open) return;
    this.#state = TransportState.Draining;
    this.#closeDeadlineMs = this.#network.clock() + this.limits.closeTimeoutMs;
    this.#network.sweeper.watch(this, this.limits.closeTimeoutMs);
    this.sendSide.end();
    // Input is read and thrown away until the peer's FIN: closing with unread bytes would send RST, which
    // may overtake our last bytes; and a peer that cannot write may not read either.
    this.receiveSide.discard();
    this.enqueue();
  }

  /** Drops what is waiting and resets the connection. */
  reset(error: SunstarError | null): void {
    if (this.#state >= TransportState.Settling) {
      if (this.#isDraining) this.#forceDrain();
      return;
    }
    this.stats.resets++;
    this.#isForced = true;
    // With linger 0, closing sends RST and drops what is in the socket's buffers.
    native.setLinger(this.fd, 0);
    this.tearDown(error);
  }

  /** The network ended the connection. */
  failed(error: SunstarError): void {
    this.stats.errors++;
    this.tearDown(error);
  }

  /** A callback of the owner threw. */
  ownerFailed(cause: unknown): void {
    const error = handlerFailed(cause);
    this.stats.handlerErrors++;
    this.#network.log.error({ err: error }, 'connection handler failed');
    this.reset(error);
  }

  /** Cancels what is in flight; the descriptor closes when all of it has completed. */
  tearDown(error: SunstarError | null): void {
    if (this.#state >= TransportState.Settling) return;
    this.#state = TransportState.Settling;
    this.#error = error;
    this.receiveSide.cancel();
    this.sendSide.cancel();
    // Not at once: the caller may be in the middle of a completion or of the owner's callback.
    this.enqueue();
  }

  /** Closes the descriptor if nothing is in flight any more. */
  settle(): void {
    const { receiveSide, sendSide } = this;
    if (this.#state !== TransportState.Settling || receiveSide.isArmed || sendSide.isBusy) return;
    if (sendSide.zeroCopyInFlight > 0) {
      if (!this.#isDraining) this.#drain();
      return;
    }
    if (sendSide.isWatching) return;
    if (this.#isDraining) this.#network.zeroCopy.counters.draining--;
    this.#isDraining = false;
    this.#state = TransportState.Closing;
    this.sendSide.dispose();
    this.receiveSide.dispose();
    this.#network.sweeper.forget(this);
    this.#endConnection();
    const closed = (): void => this.#closed();
    // Whatever close answers, the descriptor is gone.
    this.#network.reactor.closeAndWait(this.fd).then(closed, closed);
  }

  /**
   * Ends the connection now: others may have a duplicate of the descriptor (another shard that gave the connection to
   * this one, a process that was started), and then closing it says nothing to the peer.
   */
  #endConnection(): void {
    if (this.#isForced && native.disconnect(this.fd) === 0) return;
    if (this.#isForced || !this.sendSide.isEnded) native.shutDown(this.fd);
  }

  /**
   * Waits for the notifications of zero-copy sends: closing the descriptor now would lose them, and the memory could
   * never be used again, or worse, would be. What the peer does not take in time is dropped by a reset, which ends
   * all of them at once.
   */
  #drain(): void {
    this.#isDraining = true;
    const { counters } = this.#network.zeroCopy;
    counters.drains++;
    counters.draining++;
    if (this.#isForced) {
      this.#forceDrain();
      return;
    }
    // FIN goes out behind the data even though others may hold a duplicate of the descriptor.
    native.shutDown(this.fd);
    const { closeTimeoutMs } = this.limits;
    this.#closeDeadlineMs = Math.max(this.#closeDeadlineMs, this.#network.clock() + closeTimeoutMs);
    this.#network.sweeper.watch(this, closeTimeoutMs);
  }

  #forceDrain(): void {
    this.#network.zeroCopy.counters.forcedDrains++;
    // Once: what is held afterwards is in the hands of a device.
    this.#closeDeadlineMs = Number.POSITIVE_INFINITY;
    this.sendSide.disconnect();
  }

  #closed(): void {
    this.#state = TransportState.Closed;
    this.stats.open--;
    this.#network.closed(this);
    try {
      this.owner.onClose(this.#error);
    } catch (error) {
      this.stats.handlerErrors++;
      this.#network.log.error({ err: handlerFailed(error) }, 'onClose of a connection failed');
    }
  }

  /** Has {@link runDeferred} called in a later step of the tick. */
  enqueue(): void {
    if (this.#isQueued) return;
    this.#isQueued = true;
    this.#network.enqueue(this);
  }

  /** Takes every step that is due. */
  runDeferred(): void {
    this.#isQueued = false;
    this.receiveSide.deliver();
    const outputDone = this.sendSide.advance();
    if (this.#state >= TransportState.Settling) {
      this.settle();
      return;
    }
    if (outputDone) this.#outputDone();
    this.receiveSide.arm();
  }

  #outputDone(): void {
    if (
      this.receiveSide.peerEnded &&
      (this.#state !== TransportState.Open || this.receiveSide.endDelivered)
    ) {
      this.tearDown(null);
    } else if (this.#state === TransportState.Draining) {
      this.#state = TransportState.Lingering;
    }
  }

  /** One side has ended: the peer, or this one. */
  halfOpened(): void {
    const { halfOpenTimeoutMs } = this.limits;
    if (halfOpenTimeoutMs === 0 || this.#halfOpenMs >= 0 || this.#state !== TransportState.Open) return;
    this.#halfOpenMs = this.#network.clock();
    this.#network.sweeper.watch(this, halfOpenTimeoutMs);
  }

  /** Looks at the clock; called by the sweeper. */
  sweep(nowMs: number): void {
    const { idleTimeoutMs, firstByteTimeoutMs, closeTimeoutMs, halfOpenTimeoutMs } = this.limits;
    if (this.#state === TransportState.Open) {
      const idleMs = nowMs - Math.max(this.lastActivityMs, this.#openedMs);
      const halfOpenMs = this.#halfOpenMs < 0 ? 0 : nowMs - Math.max(this.lastActivityMs, this.#halfOpenMs);
      if (this.lastActivityMs < 0 && firstByteTimeoutMs > 0 && idleMs >= firstByteTimeoutMs) {
        this.stats.firstByteCloses++;
        this.reset(firstByteTimeout(firstByteTimeoutMs));
      } else if (idleTimeoutMs > 0 && idleMs >= idleTimeoutMs) {
        this.stats.idleCloses++;
        this.#giveUp(idleTimeout(idleTimeoutMs));
      } else if (this.#halfOpenMs >= 0 && halfOpenMs >= halfOpenTimeoutMs) {
        this.stats.halfOpenCloses++;
        this.#giveUp(halfOpenTimeout(halfOpenTimeoutMs));
      }
    } else if (this.#state < TransportState.Settling && nowMs >= this.#closeDeadlineMs) {
      this.stats.forcedCloses++;
      const { pendingBytes, zeroCopyHeldBytes } = this.sendSide;
      if (this.#state === TransportState.Lingering && zeroCopyHeldBytes === 0) this.tearDown(null);
      else this.reset(closeTimeout(closeTimeoutMs, pendingBytes + zeroCopyHeldBytes));
    } else if (this.#isDraining && nowMs >= this.#closeDeadlineMs) this.#forceDrain();
  }

  /** Output that does not move is lost anyway; without any, the peer gets an orderly FIN. */
  #giveUp(error: SunstarError): void {
    if (this.sendSide.pendingBytes > 0) this.reset(error);
    else this.tearDown(error);
  }

  /** Throws when the state contradicts itself. */
  invariants(): void {
    const { sendSide } = this;
    sendSide.invariants();
    const held = sendSide.zeroCopyInFlight > 0 || sendSide.isWatching;
    const busy = this.receiveSide.isArmed || sendSide.isBusy || held;
    if (this.#state >= TransportState.Closing && (busy || this.sendSide.pendingBytes > 0)) {
      throw new Error(`A closed transport has operations in flight or holds output (state ${this.#state}).`);
    }
    if (this.#state === TransportState.Settling && !busy && !this.#isQueued) {
      throw new Error('A transport waits for operations that do not exist.');
    }
  }
}
