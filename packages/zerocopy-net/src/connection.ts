import { IOBuf } from '@sunstar/iobuf';
import { native, type SocketAddress, type TcpInfo } from '@sunstar/native';
import type { SunstarError } from '@sunstar/runtime';
import { connectionClosed, connectionReset, invalidOption, receiverInUse, writeAfterEnd } from './errors.js';
import type { Network } from './network.js';
import { type ConnectionLimits, integerOption } from './options.js';
import type { ProxiedAddresses } from './proxy-protocol/header.js';
import { Reader } from './reader.js';
import { Dispatcher, type Receiver } from './receiver.js';
import type { ConnectionStats } from './stats.js';
import { Transport, TransportState } from './transport.js';

const RESOLVED: Promise<void> = Promise.resolve();

/**
 * A TCP or Unix connection on the shard that accepted or opened it; use it only there. It has two faces:
 *
 * - callbacks: set {@link receiver}, append replies to {@link output}, call {@link flush};
 * - promises: {@link read}, {@link lines}, {@link write} and the others. Input has one reader at a time.
 *
 * Both write to the same output, which leaves once per tick.
 */
export class Connection implements AsyncDisposable, AsyncIterable<IOBuf> {
  readonly #transport: Transport;
  readonly #network: Network;
  readonly #dispatcher: Dispatcher;
  #local: { readonly address: string; readonly port: number } | undefined;
  #remote: { readonly address: string; readonly port: number } | undefined;

  /** Use `listen` and `connect`. */
  constructor(network: Network, fd: number, limits: ConnectionLimits, stats: ConnectionStats) {
    this.#network = network;
    this.#dispatcher = new Dispatcher(this);
    // Now, because the kernel forgets it when the peer goes.
    this.#remote = nameOf(native.peerName(fd));
    this.#transport = new Transport(network, fd, this.#dispatcher, limits, stats);
  }

  // ---- state

  /** Whether output is still accepted. */
  get isWritable(): boolean {
    return this.#transport.state === TransportState.Open && !this.#transport.sendSide.isEnding;
  }

  /** Whether the connection is closed, its descriptor included. */
  get isClosed(): boolean {
    return this.#transport.state === TransportState.Closed;
  }

  /** Resolves when the connection is closed, for whatever reason; never rejects. See {@link error}. */
  get closed(): Promise<void> {
    return this.isClosed ? RESOLVED : this.#dispatcher.closed;
  }

  /** What ended the connection, if it was not close() of either side. */
  get error(): SunstarError | null {
    return this.#transport.error;
  }

  /** Bytes of output that the kernel has not accepted yet. */
  get pendingOutputBytes(): number {
    return this.#transport.sendSide.pendingBytes;
  }

  /** Whether more than `outputHighWaterBytes` was waiting at a flush: {@link Receiver.onDrain} follows. */
  get isAboveHighWater(): boolean {
    return this.#transport.sendSide.isAboveHighWater;
  }

  /** The peer's address; undefined when it was gone before it was accepted. */
  get remoteAddress(): string | undefined {
    return this.#remote?.address;
  }

  get remotePort(): number | undefined {
    return this.#remote?.port;
  }

  /** This side's address. */
  get localAddress(): string | undefined {
    return this.#localName()?.address;
  }

  get localPort(): number | undefined {
    return this.#localName()?.port;
  }

  /** What the kernel knows of the connection (TCP_INFO); undefined of a Unix socket, and after the end. */
  tcpInfo(): TcpInfo | undefined {
    if (!this.#hasDescriptor()) return undefined;
    const info = native.tcpInfo(this.#transport.fd);
    return typeof info === 'number' ? undefined : info;
  }

  /** Turns TCP_NODELAY on or off; on by default. */
  setNoDelay(on = true): void {
    if (this.#hasDescriptor()) native.setNoDelay(this.#transport.fd, on);
  }

  // ---- callbacks

  /**
   * Takes all input from now on, what was received and not read yet included. With null again, input
   * gathers for the next read.
   */
  get receiver(): Receiver | null {
    return this.#dispatcher.receiver;
  }

  set receiver(receiver: Receiver | null) {
    const dispatcher = this.#dispatcher;
    const { receiveSide } = this.#transport;
    const { reader } = dispatcher;
    dispatcher.receiver = receiver;
    if (receiver === null) {
      this.#openReader();
    } else if (reader !== null) {
      receiveSide.unread(reader.takeAll());
      receiveSide.resume();
      dispatcher.reader = null;
    }
    receiveSide.start();
  }

  /**
   * Inside onData: keeps the bytes that it was called with, at the end of a buffer, as a rule without a copy. Into
   * {@link output} they go back with the next {@link flush}, into that of another connection they go on.
   *
   * @param into - A buffer to keep them in; without one the caller owns the result, a new one, and disposes it.
   * @throws SunstarError SUNSTAR_NOTHING_TO_RETAIN
   */
  retain(into?: IOBuf): IOBuf {
    const { receiveSide, sendSide } = this.#transport;
    const kept = into ?? new IOBuf(this.#network.memory);
    // What leaves at the end of this tick holds a receive buffer for no time: then even a byte is not worth a copy.
    receiveSide.takeInto(kept, kept === sendSide.output && sendSide.leavesAtOnce);
    return kept;
  }

  /** Where output is appended; call {@link flush} after it, also when the connection may be closed. */
  get output(): IOBuf {
    return this.#transport.sendSide.output;
  }

  /**
   * Sends what was appended to {@link output}: one send per tick, however often this is called. On a
   * closed connection it drops the output. With more than `maxOutputBytes` waiting the connection is reset.
   */
  flush(): void {
    this.#transport.sendSide.flush();
  }

  /** Stops input: no onData and no onEnd until {@link resumeReading}; the peer is slowed down. */
  pauseReading(): void {
    this.#transport.receiveSide.pause();
  }

  /** Takes up input again; what had arrived meanwhile comes first. */
  resumeReading(): void {
    this.#transport.receiveSide.resume();
  }

  // ---- promises: input

  /**
   * What has arrived, at least one byte; null at the end of input. The caller owns the buffer and
   * disposes it.
   *
   * @throws SunstarError SUNSTAR_READ_IN_PROGRESS, SUNSTAR_CONNECTION_CLOSED, SUNSTAR_ECONNRESET …
   */
  read(): Promise<IOBuf | null> {
    return this.#openReader().read();
  }

  /**
   * Exactly so many bytes. The caller owns the buffer and disposes it.
   *
   * @throws SunstarError SUNSTAR_UNEXPECTED_END when input ends before; else as {@link read}
   */
  readExactly(sizeBytes: number): Promise<IOBuf> {
    integerOption('sizeBytes', sizeBytes, 0, 0, 2 ** 32);
    return this.#openReader().readExactly(sizeBytes);
  }

  /**
   * Everything up to and including a delimiter; null when input ends before the first byte.
   *
   * @param delimiter - At least one byte.
   * @param maxBytes - How long it may be, the delimiter included. @defaultValue 65536
   * @throws SunstarError SUNSTAR_MESSAGE_TOO_LONG, SUNSTAR_UNEXPECTED_END; else as {@link read}
   */
  readUntil(delimiter: string | Uint8Array, maxBytes?: number): Promise<IOBuf | null> {
    const bytes = typeof delimiter === 'string' ? Buffer.from(delimiter) : delimiter;
    if (!(bytes instanceof Uint8Array)) throw invalidOption('delimiter', delimiter, 'text or bytes');
    integerOption('delimiter length', bytes.length, 1, 1, 1024);
    return this.#openReader().readUntil(
      bytes,
      integerOption('maxBytes', maxBytes, 65_536, bytes.length, 2 ** 30),
    );
  }

  /**
   * Lines as UTF-8 text, without their LF or CR LF. A last line without an end counts. Leaving the loop
   * leaves the rest of the input to the next read.
   *
   * @throws SunstarError SUNSTAR_MESSAGE_TOO_LONG for a line of more than `maxLineBytes` (default 65536)
   */
  lines(options: { readonly maxLineBytes?: number } = {}): AsyncGenerator<string, void, undefined> {
    const maxLineBytes = integerOption('maxLineBytes', options.maxLineBytes, 65_536, 1, 2 ** 30);
    return this.#openReader().lines(maxLineBytes);
  }

  /** What arrives, piece by piece. Each buffer is disposed when the loop asks for the next: `share` what must stay. */
  async *[Symbol.asyncIterator](): AsyncGenerator<IOBuf, void, undefined> {
    for (;;) {
      const piece = await this.read();
      if (piece === null) return;
      try {
        yield piece;
      } finally {
        piece[Symbol.dispose]();
      }
    }
  }

  #openReader(): Reader {
    const dispatcher = this.#dispatcher;
    if (dispatcher.receiver !== null) throw receiverInUse();
    dispatcher.reader ??= new Reader(this.#transport, this.#network);
    return dispatcher.reader;
  }

  // ---- promises: output

  /**
   * Sends text (UTF-8), bytes (copied), or a buffer (its content is moved out and leaves without a copy
   * by us). Resolves when it is accepted: at once, or with more than `outputHighWaterBytes` waiting when
   * less than half of that is. It does not say that the peer has it.
   *
   * @throws SunstarError SUNSTAR_WRITE_AFTER_END, SUNSTAR_CONNECTION_CLOSED, SUNSTAR_OUTPUT_LIMIT
   */
  write(data: string | Uint8Array | IOBuf): Promise<void> {
    const { sendSide, limits } = this.#transport;
    if (!this.isWritable) return Promise.reject(this.#notWritable());
    try {
      if (data instanceof IOBuf) sendSide.output.take(data);
      else sendSide.output.append(data);
    } catch (error) {
      return Promise.reject(error instanceof Error ? error : new Error(String(error)));
    }
    sendSide.flush();
    if (sendSide.pendingBytes <= limits.outputHighWaterBytes) return RESOLVED;
    return this.#whenDrained();
  }

  async #whenDrained(): Promise<void> {
    await this.#dispatcher.drained;
    if (this.#transport.state !== TransportState.Open) throw this.#notWritable();
  }

  #notWritable(): SunstarError {
    const { state, error } = this.#transport;
    if (state === TransportState.Open) return writeAfterEnd();
    return error ?? connectionClosed();
  }

  // ---- the end

  /** Half-close: ends the output after what is waiting; input goes on. */
  end(): void {
    this.#transport.sendSide.end();
  }

  /**
   * Closes gracefully: sends what is waiting, then FIN, discards input until the peer's FIN, and closes.
   * After `closeTimeoutMs` it is closed by force. Input that was not read is gone.
   *
   * @returns When the connection is closed. Never rejects.
   */
  close(): Promise<void> {
    this.#dispatcher.reader?.dispose();
    this.#transport.close();
    return this.closed;
  }

  /** Closes at once: what is waiting is lost, and the peer sees a reset. */
  reset(): void {
    this.#dispatcher.reader?.dispose();
    this.#transport.reset(connectionReset());
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  /** @internal A proxy says where the connection comes from. */
  setProxied(addresses: ProxiedAddresses): void {
    this.#remote = { address: addresses.remoteAddress, port: addresses.remotePort };
    this.#local = { address: addresses.localAddress, port: addresses.localPort };
  }

  /** @internal The handler of the listener failed. */
  handlerFailed(cause: unknown): void {
    this.#dispatcher.reader?.dispose();
    this.#transport.ownerFailed(cause);
  }

  /** @internal Lets the application see the end of input, as if the peer had ended. */
  stopInput(): void {
    this.#transport.receiveSide.stop();
  }

  #hasDescriptor(): boolean {
    return this.#transport.state < TransportState.Closing;
  }

  #localName(): { readonly address: string; readonly port: number } | undefined {
    if (this.#local === undefined && this.#hasDescriptor())
      this.#local = nameOf(native.socketName(this.#transport.fd));
    return this.#local;
  }
}

function nameOf(name: SocketAddress | number): SocketAddress | undefined {
  return typeof name === 'number' ? undefined : name;
}
