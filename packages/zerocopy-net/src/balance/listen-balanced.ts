import { currentGroupId, type ShardContext, type Sharded, SunstarError } from '@sunstar/runtime';
import { AcceptSocket, type AcceptSocketOptions, type ConnectionSource } from '../accept-socket.js';
import { alreadyListening, noAcceptor } from '../errors.js';
import type { ConnectionHandler } from '../listen.js';
import { Listener, type ListenerConfiguration } from '../listener.js';
import type { Network } from '../network.js';
import { BalancedAcceptor } from './balanced-acceptor.js';
import { type Balancer, type BoundAddress, balancersOf } from './balancer.js';
import type { Balance } from './options.js';

/** How long the shard that accepts may take to listen. */
const ACCEPTOR_TIMEOUT_MS = 30_000;

/** What {@link listenBalanced} is given. */
export interface BalancedListening {
  readonly shard: ShardContext;
  readonly network: Network;
  readonly balance: Balance;
  /** The number of the shard that accepts. */
  readonly acceptor: number;
  /** As the application wrote it. */
  readonly address: string;
  readonly configuration: ListenerConfiguration;
  readonly handler: ConnectionHandler;
  readonly socket: Omit<AcceptSocketOptions, 'inheritedFd'>;
  /** Sockets of the process before. */
  readonly inherited: readonly number[];
  /** Called for each listening socket of this shard. */
  readonly onOpen: (socket: AcceptSocket) => void;
}

/** How many listeners with a port of the kernel's choice each address had: they have no other name. */
const anonymous = new WeakMap<Network, Map<string, number>>();

function keyOf({ network, address, socket }: BalancedListening): string {
  if (socket.path !== null || socket.port !== 0) return `${address} ${socket.port}`;
  const counts = anonymous.get(network) ?? new Map<string, number>();
  anonymous.set(network, counts);
  const count = counts.get(address) ?? 0;
  counts.set(address, count + 1);
  return `${address} 0 ${count}`;
}

/** The part of this shard in a listener that all shards share. */
export async function listenBalanced(listening: BalancedListening): Promise<Listener> {
  const { shard, network } = listening;
  const key = keyOf(listening);
  const balancers = await balancersOf(shard, network);
  if (balancers.local.has(key)) throw alreadyListening(listening.address);
  return shard.id === listening.acceptor
    ? openAcceptor(listening, balancers, key)
    : openMember(listening, balancers, key);
}

async function openAcceptor(
  listening: BalancedListening,
  balancers: Sharded<Balancer>,
  key: string,
): Promise<Listener> {
  const { shard, network, balance, configuration, handler, socket, inherited, onOpen } = listening;
  try {
    // After a crash of this shard the others still take connections, of the port that it had.
    const members = await Promise.all(
      Array.from({ length: shard.count }, (_, shardId) => boundThere(balancers, shardId, key)),
    );
    const port = members.find((bound) => bound !== null)?.port ?? socket.port;
    const sockets = (inherited.length > 0 ? inherited : [null]).map((inheritedFd) => ({
      ...socket,
      port,
      inheritedFd,
    }));
    let acceptor: BalancedAcceptor | undefined;
    const listener = new Listener(network, configuration, handler, (made) => {
      acceptor = new BalancedAcceptor({ shard, network, balancers, key, balance, listener: made, sockets });
      return acceptor;
    });
    if (acceptor === undefined) throw noAcceptor(listening.address, shard.id);
    for (const accepting of acceptor.sockets) onOpen(accepting);
    balancers.local.opened(key, acceptor);
    const joined = acceptor;
    await Promise.all(
      members.map(async (bound, shardId) => {
        if (bound !== null) await joined.join(shardId);
      }),
    );
    return listener;
  } catch (error) {
    balancers.local.failed(key, error instanceof Error ? error : new Error(String(error)));
    throw error;
  }
}

async function boundThere(
  balancers: Sharded<Balancer>,
  shardId: number,
  key: string,
): Promise<BoundAddress | null> {
  try {
    return await balancers.on(shardId).bound(key);
  } catch (error) {
    // It will come and ask.
    if (hasCode(error, 'SUNSTAR_SHARD_STOPPED')) return null;
    throw error;
  }
}

async function openMember(
  listening: BalancedListening,
  balancers: Sharded<Balancer>,
  key: string,
): Promise<Listener> {
  const { shard, network, acceptor, configuration, handler, socket, inherited, onOpen } = listening;
  const bound = await whenOpen(listening, balancers, key);
  const listener = new Listener(network, configuration, handler, (made) => {
    const own = inherited.map((inheritedFd) => {
      const accepting = new AcceptSocket(network, { ...socket, inheritedFd }, (fd) => made.accept(fd));
      onOpen(accepting);
      return accepting;
    });
    return new SharedSource(network, balancers, acceptor, shard.id, key, bound, own);
  });
  balancers.local.serve(key, listener, bound, currentGroupId());
  try {
    await balancers.on(acceptor).join(key, shard.id);
  } catch (error) {
    // When that shard has come back, it asks who takes connections.
    if (!hasCode(error, 'SUNSTAR_SHARD_STOPPED')) throw error;
  }
  return listener;
}

async function whenOpen(
  { acceptor, address }: BalancedListening,
  balancers: Sharded<Balancer>,
  key: string,
): Promise<BoundAddress> {
  try {
    return await balancers.on(acceptor, { timeoutMs: ACCEPTOR_TIMEOUT_MS }).whenOpen(key);
  } catch (error) {
    if (hasCode(error, 'SUNSTAR_CALL_TIMEOUT')) throw noAcceptor(address, acceptor);
    throw error;
  }
}

/** Connections that another shard accepts. */
class SharedSource implements ConnectionSource {
  readonly address: string;
  readonly port: number;
  readonly #network: Network;
  readonly #balancers: Sharded<Balancer>;
  readonly #acceptor: number;
  readonly #shardId: number;
  readonly #key: string;
  /** Sockets of the process before, which this shard was given. */
  readonly #own: readonly AcceptSocket[];
  #stopped: Promise<void> | null = null;

  constructor(
    network: Network,
    balancers: Sharded<Balancer>,
    acceptor: number,
    shardId: number,
    key: string,
    bound: BoundAddress,
    own: readonly AcceptSocket[],
  ) {
    this.#network = network;
    this.#balancers = balancers;
    this.#acceptor = acceptor;
    this.#shardId = shardId;
    this.#key = key;
    this.address = bound.address;
    this.port = bound.port;
    this.#own = own;
    network.reactor.ref();
  }

  stop(isHandedOver: boolean): Promise<void> {
    this.#stopped ??= this.#stop(isHandedOver);
    return this.#stopped;
  }

  async #stop(isHandedOver: boolean): Promise<void> {
    // What is under way from now on is refused, and goes to another shard.
    this.#balancers.local.unserve(this.#key);
    await Promise.all(this.#own.map((socket) => socket.stop(isHandedOver)));
    try {
      await this.#balancers.on(this.#acceptor).leave(this.#key, this.#shardId);
    } catch (error) {
      if (!hasCode(error, 'SUNSTAR_SHARD_STOPPED')) throw error;
    } finally {
      this.#network.reactor.unref();
    }
  }
}

function hasCode(error: unknown, code: string): boolean {
  return error instanceof SunstarError && error.code === code;
}
