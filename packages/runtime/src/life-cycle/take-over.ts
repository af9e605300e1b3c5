import { native } from '@sunstar/native';
import { ERRNO } from '../errno.js';
import { SunstarError, systemError } from '../errors.js';
import {
  ANSWER_TIMEOUT_MS,
  checkDirectory,
  decodeHeader,
  decodeSocket,
  GONE,
  READY,
  RECORD_BYTES,
  socketPath,
} from './hand-over-protocol.js';
import type { ListeningSocket } from './listening-sockets.js';

/** A process that takes the listening sockets of the one before it. */
export class TakeOver {
  /** The sockets; they belong to whoever asks. */
  readonly sockets: readonly ListeningSocket[];
  #fd: number;

  private constructor(fd: number, sockets: readonly ListeningSocket[]) {
    this.#fd = fd;
    this.sockets = sockets;
  }

  /**
   * Asks the process that listens in a directory for its sockets; blocks for as long as that takes, at most some
   * seconds.
   *
   * @returns Undefined when there is no such process.
   * @throws SunstarError SUNSTAR_HAND_OVER_UNSAFE, SUNSTAR_HAND_OVER_FAILED
   */
  static connect(directory: string): TakeOver | undefined {
    checkDirectory(directory);
    const path = socketPath(directory);
    const fd = native.unixConnect(path, ANSWER_TIMEOUT_MS);
    if (fd === -ERRNO.ENOENT || fd === -ERRNO.ECONNREFUSED) return undefined;
    if (fd < 0) throw systemError('connect', fd, path);
    const sockets: ListeningSocket[] = [];
    try {
      const user = native.peerUser(fd);
      if (user !== process.geteuid?.()) throw failed(`The process at ${path} belongs to user ${user}.`);
      const bytes = Buffer.alloc(RECORD_BYTES);
      if (receive(fd, bytes) >= 0) throw failed('It sent a descriptor too early.');
      for (let left = decodeHeader(bytes); left > 0; left--) {
        const received = receive(fd, bytes);
        if (received < 0) throw failed('It did not send a descriptor.');
        sockets.push({ fd: received, ...decodeSocket(bytes) });
      }
      return new TakeOver(fd, sockets);
    } catch (error) {
      for (const socket of sockets) native.closeDescriptor(socket.fd);
      native.closeDescriptor(fd);
      throw error;
    }
  }

  /** This process serves: has the other one stop. Returns when the path is free. @throws SunstarError SUNSTAR_HAND_OVER_FAILED */
  finish(): void {
    const sent = native.sendDescriptor(this.#fd, -1, Uint8Array.of(READY));
    const answer = Buffer.alloc(1);
    try {
      if (sent !== 1 || receive(this.#fd, answer) >= 0 || answer[0] !== GONE)
        throw failed('It did not answer that it goes.');
    } finally {
      this.abandon();
    }
  }

  /** Ends the connection; before {@link finish} that leaves the other process as it was. */
  abandon(): void {
    if (this.#fd >= 0) native.closeDescriptor(this.#fd);
    this.#fd = -1;
  }
}

function receive(fd: number, bytes: Buffer): number {
  const result = native.receiveDescriptor(fd, bytes);
  if (result > -1000) return result;
  throw failed('It did not answer.', systemError('recvmsg', result + 1000));
}

function failed(what: string, cause?: unknown): SunstarError {
  return new SunstarError(
    'SUNSTAR_HAND_OVER_FAILED',
    `The listening sockets could not be taken over. ${what} Stop the process before this one, and start again.`,
    { cause },
  );
}
