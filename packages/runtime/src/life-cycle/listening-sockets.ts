import { native } from '@sunstar/native';
import { SunstarError } from '../errors.js';
import type { Descriptors } from '../reactor/descriptors.js';

/** A listening socket that one process hands over to the next. */
export interface ListeningSocket {
  readonly fd: number;
  /** The address that it was asked to listen on, as the application wrote it; `unix:` and the path of a Unix socket. */
  readonly host: string;
  /** 0 for a Unix socket. */
  readonly port: number;
}

/** The listening sockets of a shard: those from the process before, and those for the process after. */
export class ListeningSockets {
  /** Whether a successor may take over: then sockets are made so that another process can add its own. */
  readonly areHandedOver: boolean;
  readonly #inherited: Set<ListeningSocket>;
  readonly #open = new Map<number, { readonly socket: ListeningSocket; readonly lookAgain: () => void }>();
  readonly #descriptors: Descriptors | undefined;

  /** @param inherited - Owned by this shard from now on. */
  constructor(areHandedOver = false, inherited: readonly ListeningSocket[] = [], descriptors?: Descriptors) {
    this.areHandedOver = areHandedOver;
    this.#inherited = new Set(inherited);
    this.#descriptors = descriptors;
    for (const { fd } of inherited) descriptors?.own(fd);
  }

  /** The inherited sockets for an address; the caller owns them. Listen on all: connections may wait in each. */
  claim(host: string, port: number): number[] {
    const claimed = [...this.#inherited].filter((socket) => socket.host === host && socket.port === port);
    for (const socket of claimed) this.#inherited.delete(socket);
    return claimed.map(({ fd }) => fd);
  }

  /**
   * A socket listens: a successor may have it.
   *
   * @param lookAgain - Accepts what waits: a successor that shared the socket has ended, and with it perhaps the one
   * whom the kernel had woken for a connection.
   */
  offer(socket: ListeningSocket, lookAgain: () => void): void {
    this.#open.set(socket.fd, { socket, lookAgain });
  }

  /** A process that shared the sockets has ended without serving. */
  lookAgain(): void {
    for (const { lookAgain } of this.#open.values()) lookAgain();
  }

  /** A socket will be closed. */
  withdraw(fd: number): void {
    this.#open.delete(fd);
  }

  /** The sockets that are open, each with a descriptor of its own that the caller closes. */
  duplicates(): ListeningSocket[] {
    const duplicates: ListeningSocket[] = [];
    for (const { socket } of this.#open.values()) {
      const fd = native.duplicateDescriptor(socket.fd);
      if (fd >= 0) duplicates.push({ ...socket, fd });
    }
    return duplicates;
  }

  /** Closes inherited sockets that nobody wanted. @returns Them. */
  closeUnclaimed(): ListeningSocket[] {
    const unclaimed = [...this.#inherited];
    this.#inherited.clear();
    for (const { fd } of unclaimed) {
      this.#descriptors?.disown(fd);
      native.closeDescriptor(fd);
    }
    return unclaimed;
  }

  /** Throws when the state is inconsistent; for tests. */
  invariants(): void {
    for (const [fd, { socket }] of this.#open) {
      if (fd !== socket.fd || this.#inherited.has(socket)) {
        throw new SunstarError('SUNSTAR_BROKEN_INVARIANT', 'A listening socket is registered twice.');
      }
    }
  }
}

/** Which shard continues which socket: those of one address are dealt out in turn, so that none is forgotten. */
export function dealSockets(sockets: readonly ListeningSocket[], shardCount: number): ListeningSocket[][] {
  const hands: ListeningSocket[][] = Array.from({ length: shardCount }, () => []);
  const dealt = new Map<string, number>();
  for (const socket of sockets) {
    const address = `${socket.host} ${socket.port}`;
    const turn = dealt.get(address) ?? 0;
    dealt.set(address, turn + 1);
    hands[turn % shardCount].push(socket);
  }
  return hands;
}
