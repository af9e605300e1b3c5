import { isIP } from 'node:net';
import { native } from '@sunstar/native';
import { type Completion, ERRNO, IORING_OP, type SunstarError, systemError } from '@sunstar/runtime';
import { invalidOption } from '../errors.js';
import type { Network } from '../network.js';
import type { ConnectionLimits } from '../options.js';
import { applySocketOptions } from '../socket-options.js';
import type { Attempt } from './attempt-race.js';

/** Bytes of the largest address: a `struct sockaddr_un`. */
const ADDRESS_BYTES = 128;

/** Where to connect: a numeric address and a port, or a path. */
export interface Target {
  readonly address: string;
  /** −1: the address is the path of a Unix socket. */
  readonly port: number;
}

/** A target in words. */
export function describeTarget({ address, port }: Target): string {
  if (port < 0) return describePath(address);
  return address.includes(':') ? `[${address}]:${port}` : `${address}:${port}`;
}

/** A path, or an abstract name with @ instead of its zero byte. */
export function describePath(path: string): string {
  return path.startsWith('\0') ? `@${path.slice(1)}` : path;
}

/** A socket that connects: its result is a descriptor that the caller owns. */
export class ConnectAttempt implements Completion, Attempt<number> {
  readonly result: Promise<number>;
  readonly #network: Network;
  readonly #target: Target;
  readonly #fd: number;
  readonly #addressOffset: number;
  readonly #operationId: number;
  #resolve: (fd: number) => void = () => {};
  #reject: (error: SunstarError) => void = () => {};

  constructor(network: Network, target: Target, limits: ConnectionLimits) {
    const { memory, reactor } = network;
    this.#network = network;
    this.#target = target;
    this.result = new Promise<number>((resolve, reject) => {
      this.#resolve = resolve;
      this.#reject = reject;
    });
    const isUnix = target.port < 0;
    this.#addressOffset = memory.allocate(ADDRESS_BYTES);
    let fd = -1;
    try {
      const bytes = memory.bytes.subarray(this.#addressOffset, this.#addressOffset + ADDRESS_BYTES);
      const length = isUnix
        ? native.encodePath(target.address, bytes)
        : native.encodeAddress(target.address, target.port, bytes);
      if (length === -ERRNO.EINVAL && isUnix) throw badPath(target.address);
      if (length < 0) throw systemError('connect', length, describeTarget(target));
      fd = isUnix ? native.unixSocket() : native.tcpSocket(isIP(target.address) === 6 ? 6 : 4);
      if (fd < 0) throw systemError('socket', fd, describeTarget(target));
      reactor.descriptors.own(fd);
      applySocketOptions(fd, limits, isUnix);
      this.#fd = fd;
      const address = memory.arena.address + this.#addressOffset;
      this.#operationId = reactor.submit(this, IORING_OP.CONNECT, fd, address, 0, length);
    } catch (error) {
      if (fd >= 0) reactor.close(fd);
      memory.free(this.#addressOffset);
      throw error;
    }
  }

  cancel(): void {
    this.#network.reactor.cancel(this.#operationId);
  }

  complete(result: number): void {
    this.#network.memory.free(this.#addressOffset);
    if (result >= 0) {
      this.#resolve(this.#fd);
      return;
    }
    this.#network.reactor.close(this.#fd);
    this.#reject(systemError('connect', result, describeTarget(this.#target)));
  }
}

/** The kernel has no room for such a path. */
export function badPath(path: string): SunstarError {
  return invalidOption(
    'path',
    describePath(path),
    'a path of 1 to 107 bytes, or @ and a name of 1 to 107 bytes',
  );
}
