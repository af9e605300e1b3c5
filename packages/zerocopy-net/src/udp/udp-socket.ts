import type { IOBuf } from '@sunstar/iobuf';
import { native } from '@sunstar/native';
import {
  type Completion,
  ERRNO,
  IORING_CQE_F,
  IORING_OP,
  IORING_RECVSEND,
  IOSQE,
  SunstarError,
  systemError,
} from '@sunstar/runtime';
import { handlerFailed, invalidOption } from '../errors.js';
import type { Network } from '../network.js';
import { integerOption } from '../options.js';
import type { BufferWaiter, ReceivePool } from '../receive-pool.js';
import { Datagram } from './datagram.js';
import { DatagramSend, type DatagramSendOwner, MAX_DATAGRAM_FRAGMENTS } from './datagram-send.js';

/** `struct io_uring_recvmsg_out`: lengths of name, control data and payload, flags. */
const OUT_BYTES = 16;
/** A control message with one int (`UDP_GRO`). */
const CONTROL_BYTES = 24;
/** In front of the payload in each receive buffer; a multiple of 8 for the control data. */
const FRONT_BYTES: number = OUT_BYTES + 32 + CONTROL_BYTES;
const RESERVED_NAME_BYTES = 32;
const MSG_TRUNC = 0x20;
const SOL_UDP = 17;
const UDP_GRO = 104;
const HEADER_BYTES = 64;
/** The most that one datagram of IPv4 carries. */
const MAX_DATAGRAM_BYTES = 65_507;
/** The kernel cuts at most so many segments of one send. */
const MAX_SEGMENTS = 64;
const KEPT_SENDS = 64;

/** Takes what arrives; called on the socket's shard, inside the reactor's tick. */
export interface UdpReceiver {
  /** A datagram has arrived. `datagram` is valid during the call only. */
  onDatagram(socket: UdpSocket, datagram: Datagram): void;
  /** Called once and last; `error` says why, when it was not by close(). */
  onClose?(socket: UdpSocket, error: SunstarError | null): void;
}

/** What a UDP socket has done. Counters only grow. */
export interface UdpStats {
  received: number;
  bytesIn: number;
  /** Sends that the kernel accepted; one with segments counts once. */
  sent: number;
  bytesOut: number;
  /** Sends that were refused because `maxSendsInFlight` were in the kernel's hands. */
  dropped: number;
  /** Sends that the kernel refused. */
  sendErrors: number;
  /** Datagrams that were larger than a receive buffer, and thrown away. */
  truncated: number;
  /** Sends without a copy. */
  zeroCopySends: number;
}

/** The options of a socket, checked. */
export interface UdpConfiguration {
  readonly maxSendsInFlight: number;
  readonly zeroCopy: 'auto' | 'always' | 'never';
  readonly zeroCopyThresholdBytes: number;
}

/** A UDP socket of one shard. Made by `bindUdp`. */
export class UdpSocket implements Completion, BufferWaiter, DatagramSendOwner, AsyncDisposable {
  /** The port, also when the kernel chose it. */
  readonly port: number;
  readonly address: string;
  readonly stats: UdpStats = {
    received: 0,
    bytesIn: 0,
    sent: 0,
    bytesOut: 0,
    dropped: 0,
    sendErrors: 0,
    truncated: 0,
    zeroCopySends: 0,
  };

  readonly #network: Network;
  readonly #pool: ReceivePool;
  readonly #fd: number;
  readonly #receiver: UdpReceiver;
  readonly #configuration: UdpConfiguration;
  readonly #datagram: Datagram;
  readonly #header: number;
  readonly #idle: DatagramSend[] = [];
  readonly #closed: Promise<void>;
  #resolveClosed: () => void = () => {};
  #operationId = 0;
  #isArmed = false;
  #isClosing = false;
  #inFlight = 0;
  #error: SunstarError | null = null;

  /** Use `bindUdp`. Takes over the descriptor. */
  constructor(network: Network, fd: number, receiver: UdpReceiver, configuration: UdpConfiguration) {
    this.#network = network;
    this.#pool = network.receiveBuffers.datagramPool();
    this.#fd = fd;
    this.#receiver = receiver;
    this.#configuration = configuration;
    this.#datagram = new Datagram(network.memory);
    this.#header = network.memory.allocate(HEADER_BYTES);
    const { view } = network.memory.arena;
    for (let at = 0; at < HEADER_BYTES; at += 8) view.setFloat64(this.#header + at, 0, true);
    // Only the reserved lengths count: msg_namelen and msg_controllen.
    view.setUint32(this.#header + 8, RESERVED_NAME_BYTES, true);
    view.setUint32(this.#header + 40, CONTROL_BYTES, true);
    const name = native.socketName(fd);
    this.port = typeof name === 'number' ? 0 : name.port;
    this.address = typeof name === 'number' ? '' : name.address;
    this.#closed = new Promise((resolve) => {
      this.#resolveClosed = resolve;
    });
    network.reactor.ref();
    this.#arm();
  }

  /** Sends that are in the kernel's hands. */
  get sendsInFlight(): number {
    return this.#inFlight;
  }

  /**
   * Sends one datagram, or with `segmentBytes` as many as the content has pieces of that size: the kernel cuts them
   * (GSO), for the price of one send.
   *
   * @param data - Text and bytes are copied; the content of a buffer is moved out.
   * @param to - An address and a port, or the datagram that is being answered.
   * @returns False when it was dropped, because `maxSendsInFlight` sends had not left. As with UDP in general, true
   * does not say that it arrives.
   * @throws SunstarError SUNSTAR_DATAGRAM_TOO_LARGE, SUNSTAR_INVALID_OPTION, SUNSTAR_CONNECTION_CLOSED
   */
  send(
    data: string | Uint8Array | IOBuf,
    to: Datagram | { readonly address: string; readonly port: number },
    segmentBytes = 0,
  ): boolean {
    if (this.#isClosing) throw new SunstarError('SUNSTAR_CONNECTION_CLOSED', 'The UDP socket is closed.');
    if (this.#inFlight >= this.#configuration.maxSendsInFlight) {
      this.stats.dropped++;
      return false;
    }
    const send = this.#idle.pop() ?? new DatagramSend(this.#network, this);
    try {
      if (typeof data === 'string' || data instanceof Uint8Array) send.content.append(data);
      else send.content.take(data);
      checkSize(send.content.sizeBytes, segmentBytes);
      if (send.content.fragmentCount > MAX_DATAGRAM_FRAGMENTS) flatten(send.content);
      const nameBytes = this.#writeName(send.name, to);
      const isZeroCopy = this.#isWorthZeroCopy(send.content, to);
      send.submit(this.#fd, nameBytes, segmentBytes, isZeroCopy);
      if (isZeroCopy) this.stats.zeroCopySends++;
    } catch (error) {
      send.content.clear();
      this.#idle.push(send);
      throw error;
    }
    this.#inFlight++;
    return true;
  }

  #writeName(name: Buffer, to: Datagram | { readonly address: string; readonly port: number }): number {
    if (to instanceof Datagram) {
      const { nameOffset, nameBytes } = to;
      this.#network.memory.bytes.copy(name, 0, nameOffset, nameOffset + nameBytes);
      return nameBytes;
    }
    const port = integerOption('port', to.port ?? 0, 0, 1, 65_535);
    const length = native.encodeAddress(to.address, port, name);
    if (length < 0) throw invalidOption('address', to.address, 'a numeric IPv4 or IPv6 address');
    return length;
  }

  #isWorthZeroCopy(content: IOBuf, to: Datagram | { readonly address: string }): boolean {
    const { zeroCopy, zeroCopyThresholdBytes } = this.#configuration;
    const shard = this.#network.zeroCopy;
    if (
      zeroCopy === 'never' ||
      !shard.hasVectors ||
      content.sizeBytes < zeroCopyThresholdBytes ||
      !content.isLocal
    )
      return false;
    if (shard.mechanism !== 'send_zc' || !shard.hasVectors) return false;
    if (shard.lockedMemory.roomBytes < content.sizeBytes) return false;
    return zeroCopy === 'always' || !shard.addresses.has(to.address);
  }

  /** Resolves when it is closed, for whatever reason. */
  get closed(): Promise<void> {
    return this.#closed;
  }

  /** Stops receiving, waits for the sends in flight, and closes. Later calls return the same promise. */
  close(): Promise<void> {
    this.#end(null);
    return this.#closed;
  }

  /** Closes it. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  #end(error: SunstarError | null): void {
    if (this.#isClosing) return;
    this.#isClosing = true;
    this.#error = error;
    this.#pool.stopWaiting(this);
    if (this.#isArmed) this.#network.reactor.cancel(this.#operationId);
    else this.#settle();
  }

  #settle(): void {
    if (!this.#isClosing || this.#isArmed || this.#inFlight > 0) return;
    const { reactor, memory } = this.#network;
    for (const send of this.#idle.splice(0)) send.dispose();
    memory.free(this.#header);
    void reactor.closeAndWait(this.#fd).finally(() => {
      reactor.unref();
      this.#resolveClosed();
      try {
        this.#receiver.onClose?.(this, this.#error);
      } catch (error) {
        this.#network.log.error({ err: handlerFailed(error) }, 'onClose of a UDP socket failed');
      }
    });
  }

  /** @internal The kernel is done with a datagram. */
  sendEnded(send: DatagramSend, result: number): void {
    this.#inFlight--;
    if (result >= 0) {
      this.stats.sent++;
      this.stats.bytesOut += result;
    } else this.stats.sendErrors++;
    if (this.#isClosing || this.#idle.length >= KEPT_SENDS) send.dispose();
    else this.#idle.push(send);
    this.#settle();
  }

  buffersAvailable(): void {
    if (!this.#isClosing) this.#arm();
  }

  #arm(): void {
    const { reactor, memory } = this.#network;
    this.#isArmed = true;
    this.#operationId = reactor.submit(
      this,
      IORING_OP.RECVMSG,
      this.#fd,
      memory.arena.address + this.#header,
      1,
      0,
      0,
      IOSQE.BUFFER_SELECT,
      IORING_RECVSEND.RECV_MULTISHOT,
      this.#pool.groupId,
    );
  }

  /** The receive's completion. */
  complete(result: number, flags: number): void {
    const pool = this.#pool;
    if ((flags & IORING_CQE_F.MORE) === 0) this.#isArmed = false;
    if ((flags & IORING_CQE_F.BUFFER) !== 0) {
      const buffer = flags >>> 16;
      const offset = pool.take(buffer, Math.max(0, result), flags);
      try {
        if (result >= FRONT_BYTES && !this.#isClosing) this.#deliver(offset, result);
      } catch (error) {
        this.#network.log.error({ err: handlerFailed(error) }, 'onDatagram of a UDP socket failed');
      }
      pool.done(buffer);
    }
    if (this.#isArmed) return;
    if (this.#isClosing) this.#settle();
    else if (result === -ERRNO.ENOBUFS) pool.wait(this);
    else if (result >= 0 || result === -ERRNO.EINTR || result === -ERRNO.EAGAIN) this.#arm();
    else this.#end(systemError('recvmsg', result));
  }

  #deliver(buffer: number, sizeBytes: number): void {
    const { view } = this.#network.memory.arena;
    const end = buffer + sizeBytes;
    if ((view.getUint32(buffer + 12, true) & MSG_TRUNC) !== 0) {
      this.stats.truncated++;
      return;
    }
    const control = buffer + OUT_BYTES + RESERVED_NAME_BYTES;
    const isSegmented =
      view.getUint32(buffer + 4, true) >= CONTROL_BYTES - 4 &&
      view.getUint32(control + 8, true) === SOL_UDP &&
      view.getUint32(control + 12, true) === UDP_GRO;
    let at = buffer + FRONT_BYTES;
    const step = isSegmented ? view.getUint32(control + 16, true) : end - at;
    const datagram = this.#datagram;
    datagram.nameOffset = buffer + OUT_BYTES;
    do {
      datagram.offset = at;
      datagram.length = Math.min(step, end - at);
      this.stats.received++;
      this.stats.bytesIn += datagram.length;
      this.#receiver.onDatagram(this, datagram);
      at += step;
    } while (at < end && !this.#isClosing);
  }
}

/** The longest datagram that a receive buffer of so many bytes takes. */
export function longestDatagramBytes(bufferBytes: number): number {
  return bufferBytes - FRONT_BYTES;
}

function checkSize(sizeBytes: number, segmentBytes: number): void {
  if (!Number.isInteger(segmentBytes) || segmentBytes < 0 || segmentBytes > MAX_DATAGRAM_BYTES)
    throw invalidOption('segmentBytes', segmentBytes, `a whole number from 0 to ${MAX_DATAGRAM_BYTES}`);
  if (sizeBytes > MAX_DATAGRAM_BYTES || (segmentBytes > 0 && sizeBytes > segmentBytes * MAX_SEGMENTS)) {
    throw new SunstarError(
      'SUNSTAR_DATAGRAM_TOO_LARGE',
      `A send of ${sizeBytes} bytes is over ${MAX_DATAGRAM_BYTES}, or over ${MAX_SEGMENTS} segments. Send less at a time.`,
    );
  }
}

/** Copies many fragments into few. */
function flatten(content: IOBuf): void {
  using copy = content.copy();
  content.clear();
  content.take(copy);
}
