import { Duplex } from 'node:stream';
import type { SunstarError } from '@sunstar/runtime';
import type { Connection } from '../connection.js';
import { connectionClosed } from '../errors.js';
import { integerOption } from '../options.js';
import type { Receiver } from '../receiver.js';
import { InactivityTimer } from './inactivity-timer.js';
import { appendText } from './text.js';

/** Options of {@link toDuplex}. */
export interface DuplexOptions {
  /**
   * Keep the output open when the peer has ended its own. Servers of node:http want that; with false the
   * output ends by itself after the input. @defaultValue true
   */
  readonly allowHalfOpen?: boolean;
  /**
   * How much input waits in the stream before the peer is slowed down, and how much output before write()
   * says false. @defaultValue 65536; 1 to 1 GiB
   */
  readonly highWaterMark?: number;
}

/** How a stream is told that something is done. */
export type Callback = (error?: Error | null) => void;

/** Output of at least this size is not copied: the kernel reads it where it lies, and the callback waits for that. */
const WRAP_BYTES = 32_768;

/**
 * A connection as a stream of Node, with the properties and methods of a `net.Socket` that node:http, node:tls
 * and clients of databases look at. Made by {@link toDuplex}; it is the connection's receiver from then on.
 */
export class ConnectionDuplex extends Duplex implements Receiver {
  /** Always false: the connection is open before there is a stream. */
  readonly connecting = false;
  /** Always false. */
  readonly pending = false;
  /** Bytes received. */
  bytesRead = 0;
  /** Bytes written to the stream and handed to the connection. */
  bytesWritten = 0;
  /** What {@link setTimeout} was set to; undefined when it never was, as in a net.Socket. */
  timeout: number | undefined;
  readonly #connection: Connection;
  readonly #bytes: Buffer;
  readonly #timer: InactivityTimer = new InactivityTimer(() => this.emit('timeout'));
  #drained: Callback | null = null;
  #isPaused = false;

  /** Use {@link toDuplex}. */
  constructor(connection: Connection, bytes: Buffer, options: DuplexOptions) {
    const highWaterMark = integerOption('highWaterMark', options.highWaterMark, 65_536, 1, 2 ** 30);
    super({
      allowHalfOpen: options.allowHalfOpen ?? true,
      decodeStrings: false,
      readableHighWaterMark: highWaterMark,
      writableHighWaterMark: highWaterMark,
    });
    this.#connection = connection;
    this.#bytes = bytes;
    connection.receiver = this;
  }

  /** The connection below. */
  get connection(): Connection {
    return this.#connection;
  }

  get remoteAddress(): string | undefined {
    return this.#connection.remoteAddress;
  }

  get remotePort(): number | undefined {
    return this.#connection.remotePort;
  }

  get remoteFamily(): string | undefined {
    return familyOf(this.remoteAddress);
  }

  get localAddress(): string | undefined {
    return this.#connection.localAddress;
  }

  get localPort(): number | undefined {
    return this.#connection.localPort;
  }

  get localFamily(): string | undefined {
    return familyOf(this.localAddress);
  }

  /** `open`, `readOnly`, `writeOnly` or `closed`, as in a net.Socket. */
  get readyState(): 'open' | 'readOnly' | 'writeOnly' | 'closed' {
    if (this.readable) return this.writable ? 'open' : 'readOnly';
    return this.writable ? 'writeOnly' : 'closed';
  }

  /** This side's address, as of a net.Socket. */
  address(): { address?: string; family?: string; port?: number } {
    const { localAddress: address, localFamily: family, localPort: port } = this;
    if (address === undefined || family === undefined || port === undefined) return {};
    return { address, family, port };
  }

  /** Turns TCP_NODELAY on or off. */
  setNoDelay(on = true): this {
    this.#connection.setNoDelay(on);
    return this;
  }

  /**
   * Emits 'timeout' when nothing was received or written for so long, in milliseconds; 0 is never. Does not
   * close anything by itself.
   */
  setTimeout(timeoutMs: number, listener?: () => void): this {
    this.timeout = integerOption('timeoutMs', timeoutMs, 0, 0, 2 ** 31 - 1);
    if (listener !== undefined) {
      if (timeoutMs > 0) this.once('timeout', listener);
      else this.removeListener('timeout', listener);
    }
    if (!this.destroyed) this.#timer.limitMs = timeoutMs;
    return this;
  }

  /** Does nothing: an open connection keeps the event loop alive by its operations in flight. */
  ref(): this {
    return this;
  }

  /** Does nothing; see {@link ref}. */
  unref(): this {
    return this;
  }

  /** Destroys the stream when its output is written, as node:http does with a socket it is done with. */
  destroySoon(): void {
    if (this.writable) this.end();
    if (this.writableFinished) this.destroy();
    else this.once('finish', () => this.destroy());
  }

  /** Closes at once with a reset: what is waiting is lost. */
  resetAndDestroy(): this {
    this.#connection.reset();
    return this.destroy();
  }

  // ---- from the connection

  onData(connection: Connection, offset: number, length: number): void {
    this.#timer.touch();
    this.bytesRead += length;
    // A stream's reader may keep its chunks for as long as it likes; the receive buffers are few.
    const chunk = Buffer.allocUnsafe(length);
    this.#bytes.copy(chunk, 0, offset, offset + length);
    if (this.push(chunk)) return;
    this.#isPaused = true;
    connection.pauseReading();
  }

  onEnd(): void {
    this.push(null);
    // Without a reader the end would never be seen, and the connection stay half open.
    if (this.readableLength === 0) this.read(0);
  }

  onDrain(): void {
    const drained = this.#drained;
    this.#drained = null;
    drained?.();
  }

  onClose(_connection: Connection, error: SunstarError | null): void {
    const drained = this.#drained;
    this.#drained = null;
    if (drained !== null) drained(error ?? connectionClosed());
    // Without an error both sides have ended, and the stream destroys itself when its reader has seen that.
    if (error !== null) this.destroy(error);
  }

  // ---- from the stream

  /** Called by the stream when it wants more. */
  override _read(): void {
    if (!this.#isPaused) return;
    this.#isPaused = false;
    this.#connection.resumeReading();
  }

  /** @internal Called by the stream. */
  override _write(chunk: Buffer | string, encoding: BufferEncoding, callback: Callback): void {
    this.#send(chunk, encoding, callback);
  }

  /** @internal Called by the stream. */
  override _writev(chunks: { chunk: Buffer | string; encoding: BufferEncoding }[], callback: Callback): void {
    const last = chunks.length - 1;
    try {
      for (let i = 0; i < last; i++) this.#append(chunks[i].chunk, chunks[i].encoding);
    } catch (error) {
      this.#failed(error, callback);
      return;
    }
    this.#send(chunks[last].chunk, chunks[last].encoding, callback);
  }

  /** @internal Called by the stream. */
  override _final(callback: Callback): void {
    this.#connection.end();
    callback();
  }

  /** @internal Called by the stream. */
  override _destroy(error: Error | null, callback: (error: Error | null) => void): void {
    this.#timer.limitMs = 0;
    // What was written before still leaves, as from the kernel's buffers of a net.Socket: node:http destroys a
    // connection right after its last answer. The connection itself limits how long that takes.
    void this.#connection.close();
    callback(error);
  }

  #send(chunk: Buffer | string, encoding: BufferEncoding, callback: Callback): void {
    const connection = this.#connection;
    if (!connection.isWritable) {
      callback(connection.error ?? connectionClosed());
      return;
    }
    this.#timer.touch();
    if (typeof chunk !== 'string' && chunk.length >= WRAP_BYTES) {
      this.bytesWritten += chunk.length;
      // Who wrote it may change it after the callback.
      connection.output.wrap(chunk, () => callback());
      connection.flush();
      return;
    }
    try {
      this.#append(chunk, encoding);
    } catch (error) {
      this.#failed(error, callback);
      return;
    }
    connection.flush();
    if (connection.isAboveHighWater) this.#drained = callback;
    else callback();
  }

  /** There was no memory: a reset, because a FIN would make what the peer has got look like all of it. */
  #failed(error: unknown, callback: Callback): void {
    this.#connection.reset();
    callback(error instanceof Error ? error : new Error(String(error)));
  }

  #append(chunk: Buffer | string, encoding: BufferEncoding): void {
    const { output } = this.#connection;
    const before = output.sizeBytes;
    if (typeof chunk === 'string') appendText(output, this.#bytes, chunk, encoding);
    else output.append(chunk);
    this.bytesWritten += output.sizeBytes - before;
  }
}

function familyOf(address: string | undefined): string | undefined {
  if (address === undefined) return undefined;
  return address.includes(':') ? 'IPv6' : 'IPv4';
}
