import { callIn, currentGroup, currentGroupId, type SunstarError } from '@sunstar/runtime';
import type { Connection } from './connection.js';
import type { Reader } from './reader.js';
import type { TransportOwner } from './transport.js';

/**
 * Takes the input of a connection by callbacks: the fast face, for servers. They are called on the
 * connection's shard inside the reactor's tick; one receiver may serve any number of connections. An
 * exception in a callback resets the connection and is logged.
 */
export interface Receiver {
  /**
   * Bytes have arrived: `memory.bytes` of the shard from `offset`, `length` bytes. They are valid only
   * during the call, unless {@link Connection.retain} keeps them.
   */
  onData(connection: Connection, offset: number, length: number): void;
  /**
   * The peer has ended its output; ours is still open. Without this function the connection is closed
   * gracefully.
   */
  onEnd?(connection: Connection): void;
  /** Output has fallen below half of `outputHighWaterBytes`, after it was above it. */
  onDrain?(connection: Connection): void;
  /**
   * The connection is closed; called exactly once and last. `error` says why when it was not by close()
   * of either side.
   */
  onClose?(connection: Connection, error: SunstarError | null): void;
}

interface Signal {
  /** Resolves in the scheduling group that asked first. */
  readonly promise: Promise<void>;
  readonly groupId: number;
  readonly resolve: () => void;
}

function signal(): Signal {
  let resolve: () => void = () => {};
  const promise = new Promise<void>((settle) => {
    resolve = settle;
  });
  const groupId = currentGroupId();
  return { promise, groupId, resolve: () => callIn(groupId, resolve) };
}

/** For another group that waits for the same. */
function inThisGroup({ promise, groupId }: Signal): Promise<void> {
  return groupId === currentGroupId() ? promise : currentGroup().bind(promise);
}

/** Hands what the transport tells to whoever listens: a receiver, a reader, and those who await. */
export class Dispatcher implements TransportOwner {
  readonly #connection: Connection;
  receiver: Receiver | null = null;
  reader: Reader | null = null;
  #drained: Signal | null = null;
  #closed: Signal | null = null;

  constructor(connection: Connection) {
    this.#connection = connection;
  }

  /** Resolves with the next onDrain, or when the connection is closed. */
  get drained(): Promise<void> {
    this.#drained ??= signal();
    return inThisGroup(this.#drained);
  }

  /** Resolves when the connection is closed; ask only before. */
  get closed(): Promise<void> {
    this.#closed ??= signal();
    return inThisGroup(this.#closed);
  }

  onData(offset: number, length: number): void {
    const receiver = this.receiver;
    if (receiver !== null) receiver.onData(this.#connection, offset, length);
    else this.reader?.onData();
  }

  onEnd(): void {
    const { receiver, reader } = this;
    if (receiver?.onEnd !== undefined) receiver.onEnd(this.#connection);
    else if (receiver === null && reader !== null) reader.onEnd();
    else void this.#connection.close();
  }

  onDrain(): void {
    this.#drained?.resolve();
    this.#drained = null;
    this.receiver?.onDrain?.(this.#connection);
  }

  onClose(error: SunstarError | null): void {
    this.#drained?.resolve();
    this.#drained = null;
    if (error !== null) this.reader?.dispose();
    this.reader?.onClose();
    this.#closed?.resolve();
    this.receiver?.onClose?.(this.#connection, error);
  }
}
