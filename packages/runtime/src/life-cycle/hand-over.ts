import { unlinkSync } from 'node:fs';
import { createServer, type Server, type Socket } from 'node:net';
import { native } from '@sunstar/native';
import { ERRNO } from '../errno.js';
import { SunstarError, systemError } from '../errors.js';
import type { Logger } from '../log.js';
import {
  ANSWER_TIMEOUT_MS,
  checkDirectory,
  encodeHeader,
  encodeSocket,
  GONE,
  MAX_SOCKETS,
  READY,
  socketPath,
} from './hand-over-protocol.js';
import type { ListeningSocket } from './listening-sockets.js';

/** What a {@link HandOver} stands on. */
export interface HandOverParts {
  readonly directory: string;
  readonly log: Logger;
  /** The listening sockets of all shards, with descriptors of their own. */
  collect(): Promise<readonly ListeningSocket[]>;
  /** The successor serves. */
  handedOver(): void;
  /** The successor has ended before it served. */
  gaveUp(): void;
}

const RETRY_MS = 1;

/** Waits for a process that takes over this one's listening sockets. */
export class HandOver {
  readonly #parts: HandOverParts;
  readonly #server: Server;
  #successor: Socket | undefined;
  #isDone = false;

  private constructor(parts: HandOverParts) {
    this.#parts = parts;
    this.#server = createServer((socket) => this.#accept(socket));
    this.#server.unref();
  }

  /**
   * Begins to wait in a directory.
   *
   * @throws SunstarError SUNSTAR_HAND_OVER_UNSAFE, SUNSTAR_HAND_OVER_IN_USE; the errors of the file system.
   */
  static async listen(parts: HandOverParts): Promise<HandOver> {
    checkDirectory(parts.directory);
    const path = socketPath(parts.directory);
    // Left behind by a process that crashed, or in use.
    const fd = native.unixConnect(path, ANSWER_TIMEOUT_MS);
    if (fd >= 0) {
      native.closeDescriptor(fd);
      throw new SunstarError(
        'SUNSTAR_HAND_OVER_IN_USE',
        `Another process waits at ${path} for a successor. Give each service a directory of its own.`,
      );
    }
    if (fd === -ERRNO.ECONNREFUSED) unlinkSync(path);
    const handOver = new HandOver(parts);
    await new Promise<void>((resolve, reject) => {
      handOver.#server.once('error', reject);
      handOver.#server.listen(path, resolve);
    });
    handOver.#server.on('error', (error) => parts.log.error({ err: error }, 'nobody can take over any more'));
    return handOver;
  }

  /** Waits no longer. */
  close(): void {
    this.#server.close();
    if (!this.#isDone) this.#successor?.destroy();
  }

  #accept(socket: Socket): void {
    const { log } = this.#parts;
    socket.on('error', (error) => log.warn({ err: error }, 'the connection with a successor broke'));
    const fd = descriptorOf(socket);
    const user = fd < 0 ? fd : native.peerUser(fd);
    if (user !== process.geteuid?.() || this.#successor !== undefined || this.#isDone) {
      log.warn({ user }, 'refused a process that wanted to take over');
      socket.destroy();
      return;
    }
    this.#successor = socket;
    socket.on('close', () => {
      this.#successor = undefined;
      if (this.#isDone) return;
      log.warn('a successor gave up: this process goes on');
      this.#parts.gaveUp();
    });
    socket.on('data', (data) => this.#heard(socket, data));
    this.#send(socket, fd).catch((error: unknown) => {
      log.warn({ err: error }, 'the listening sockets could not be handed over: this process goes on');
      socket.destroy();
    });
  }

  async #send(socket: Socket, fd: number): Promise<void> {
    const sockets = await this.#parts.collect();
    try {
      if (sockets.length > MAX_SOCKETS) {
        throw new SunstarError(
          'SUNSTAR_HAND_OVER_FAILED',
          `At most ${MAX_SOCKETS} sockets can be handed over.`,
        );
      }
      await sendRecord(socket, fd, -1, encodeHeader(sockets.length));
      for (const listening of sockets) await sendRecord(socket, fd, listening.fd, encodeSocket(listening));
    } finally {
      for (const listening of sockets) native.closeDescriptor(listening.fd);
    }
  }

  #heard(socket: Socket, data: Buffer): void {
    if (this.#isDone || data.length !== 1 || data[0] !== READY) {
      socket.destroy();
      return;
    }
    this.#isDone = true;
    // The path is free before the successor hears of it.
    this.#server.close();
    socket.end(Uint8Array.of(GONE));
    this.#parts.log.info('handed over to a successor');
    this.#parts.handedOver();
  }
}

/** Sends a record whole: the socket is Node's, and does not block. */
async function sendRecord(socket: Socket, fd: number, passed: number, bytes: Uint8Array): Promise<void> {
  const deadline = performance.now() + ANSWER_TIMEOUT_MS;
  for (let at = 0; at < bytes.length; ) {
    if (socket.destroyed) throw systemError('sendmsg', -ERRNO.ECONNRESET);
    const sent = native.sendDescriptor(fd, at === 0 ? passed : -1, bytes.subarray(at));
    if (sent >= 0) at += sent;
    else if (sent !== -ERRNO.EAGAIN || performance.now() > deadline) throw systemError('sendmsg', sent);
    else await new Promise((resolve) => setTimeout(resolve, RETRY_MS));
  }
}

/** Node has no public way to the descriptor of a socket, which SCM_RIGHTS needs; this one has been there ever since. */
function descriptorOf(socket: Socket): number {
  const { _handle: handle } = socket as unknown as { readonly _handle?: { readonly fd?: number } };
  return handle?.fd ?? -1;
}
