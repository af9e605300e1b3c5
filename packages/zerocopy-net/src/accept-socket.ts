import { rmSync } from 'node:fs';
import { native } from '@sunstar/native';
import {
  type Completion,
  callIn,
  currentGroupId,
  ERRNO,
  IORING_CQE_F,
  IORING_OP,
  IORING_RECVSEND,
  systemError,
} from '@sunstar/runtime';
import { badPath, describePath } from './connect/connect-attempt.js';
import { invalidOption } from './errors.js';
import type { Network } from './network.js';
import type { ConnectionLimits } from './options.js';
import { applySocketOptions } from './socket-options.js';

const SOCK_CLOEXEC = 0o2000000;
const FIRST_RETRY_MS = 50;
const LAST_RETRY_MS = 1000;

/** Where the connections of a listener come from. */
export interface ConnectionSource {
  /** The port, also when the kernel chose it; 0 of a Unix socket. */
  readonly port: number;
  /** The address, as the kernel writes it; of a Unix socket its path, or @ and its name. */
  readonly address: string;
  /**
   * Brings no more connections.
   *
   * @param isHandedOver - Another process accepts in its place.
   * @returns When it has brought the last one.
   */
  stop(isHandedOver: boolean): Promise<void>;
}

/** What an {@link AcceptSocket} is made of, checked. */
export interface AcceptSocketOptions {
  /** Of a Unix socket, in the kernel's form; null: TCP. */
  readonly path: string | null;
  readonly host: string;
  readonly port: number;
  readonly ipv6Only: boolean;
  readonly reusePort: boolean;
  readonly backlog: number;
  /** What accepted connections inherit. */
  readonly limits: ConnectionLimits;
  /** A socket that listens already, of the process before; null for a new one. */
  readonly inheritedFd: number | null;
  /** Called with the descriptor before it is closed. */
  readonly beforeClose: (fd: number) => void;
}

/** A listening socket with a multishot accept. */
export class AcceptSocket implements Completion, ConnectionSource {
  readonly port: number;
  readonly address: string;
  /** For a process that takes over. */
  readonly fd: number;

  readonly #network: Network;
  readonly #options: AcceptSocketOptions;
  readonly #onAccepted: (fd: number) => void;
  #operationId = 0;
  #isArmed = false;
  /** No further accept is armed. */
  #isEnding = false;
  #retryMs = FIRST_RETRY_MS;
  #retryTimer: NodeJS.Timeout | null = null;
  #acceptEnded: ((result: number) => void) | null = null;
  #closingGroupId = 0;
  #stopped: Promise<void> | null = null;

  /**
   * Listens and accepts.
   *
   * @param onAccepted - Gets each descriptor, and owns it.
   * @throws SystemError, SunstarError SUNSTAR_INVALID_OPTION
   */
  constructor(network: Network, options: AcceptSocketOptions, onAccepted: (fd: number) => void) {
    this.#network = network;
    this.#options = options;
    this.#onAccepted = onAccepted;
    this.fd = options.inheritedFd ?? openSocket(options);
    network.reactor.descriptors.own(this.fd);
    try {
      applySocketOptions(this.fd, options.limits, options.path !== null);
    } catch (error) {
      network.reactor.close(this.fd);
      throw error;
    }
    const name = native.socketName(this.fd);
    this.port = typeof name === 'number' ? options.port : name.port;
    this.address = typeof name === 'number' ? options.host : describePath(name.address);
    network.reactor.ref();
    this.#arm();
  }

  stop(isHandedOver: boolean): Promise<void> {
    this.#stopped ??= this.#stop(isHandedOver);
    return this.#stopped;
  }

  async #stop(isHandedOver: boolean): Promise<void> {
    this.#isEnding = true;
    const { reactor } = this.#network;
    if (this.#retryTimer !== null) clearTimeout(this.#retryTimer);
    let result = this.#isArmed ? await this.#endAccept() : -ERRNO.ECANCELED;
    // The kernel wakes one of those who wait for a connection. When that was this accept, just as it was cancelled, the
    // other process will not hear of the connection before the next one comes.
    while (isHandedOver && (result >= 0 || result === -ERRNO.ECANCELED) && native.isReadable(this.fd)) {
      this.#arm();
      result = await this.#endAccept();
    }
    this.#options.beforeClose(this.fd);
    await reactor.closeAndWait(this.fd);
    const { path } = this.#options;
    // A successor listens on the same socket, which is found by its path.
    if (path !== null && !path.startsWith('\0') && !isHandedOver) rmSync(path, { force: true });
    reactor.unref();
  }

  /** Accepts what waits now, too, if another process that listened on this socket was woken for it and ended. */
  lookAgain(): void {
    if (this.#isArmed && !this.#isEnding) this.#network.reactor.cancel(this.#operationId);
  }

  /** @returns The last result of the accept. */
  #endAccept(): Promise<number> {
    this.#network.reactor.cancel(this.#operationId);
    return new Promise((resolve) => {
      this.#acceptEnded = resolve;
      this.#closingGroupId = currentGroupId();
    });
  }

  #arm(): void {
    this.#isArmed = true;
    this.#operationId = this.#network.reactor.submit(
      this,
      IORING_OP.ACCEPT,
      this.fd,
      0,
      0,
      0,
      SOCK_CLOEXEC,
      0,
      IORING_RECVSEND.ACCEPT_MULTISHOT,
    );
  }

  /** A connection was accepted, or the accept ended. */
  complete(result: number, flags: number): void {
    if ((flags & IORING_CQE_F.MORE) === 0) this.#isArmed = false;
    if (result >= 0) {
      if (this.#retryMs !== FIRST_RETRY_MS) {
        this.#retryMs = FIRST_RETRY_MS;
        this.#network.log.info({ port: this.port }, 'accepting again');
      }
      this.#onAccepted(result);
    }
    if (this.#isArmed) return;
    if (this.#isEnding) {
      const ended = this.#acceptEnded;
      if (ended !== null) callIn(this.#closingGroupId, () => ended(result));
    } else if (result >= 0) this.#arm();
    else this.#failed(result);
  }

  #failed(result: number): void {
    switch (-result) {
      case ERRNO.ECONNABORTED:
      case ERRNO.EPROTO:
      case ERRNO.EINTR:
      case ERRNO.EAGAIN:
      case ERRNO.ECANCELED:
        // The one connection is gone; the listener is not.
        this.#arm();
        return;
      default:
        // Most likely descriptors (EMFILE, ENFILE) or memory: trying at once would spin.
        if (this.#retryMs === FIRST_RETRY_MS) {
          this.#network.log.warn(
            { err: systemError('accept', result), port: this.port, open: this.#network.openCount },
            'accepting paused: the waiting connections stay in the backlog',
          );
        }
        this.#retryTimer = setTimeout(() => {
          this.#retryTimer = null;
          this.#arm();
        }, this.#retryMs);
        this.#retryMs = Math.min(LAST_RETRY_MS, this.#retryMs * 2);
    }
  }
}

function openSocket(options: AcceptSocketOptions): number {
  const { path, host, port, reusePort, backlog, ipv6Only } = options;
  if (path !== null) {
    const fd = native.unixListen(path, backlog);
    if (fd === -ERRNO.EINVAL) throw badPath(path);
    if (fd < 0) throw systemError('listen', fd, describePath(path));
    return fd;
  }
  const fd = native.tcpListen(host, port, reusePort, backlog, ipv6Only);
  if (fd >= 0) return fd;
  if (-fd === ERRNO.EINVAL) throw invalidOption('host', host, 'a numeric IPv4 or IPv6 address');
  throw systemError('listen', fd, `${host.includes(':') ? `[${host}]` : host}:${port}`);
}
