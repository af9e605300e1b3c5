import { fstatSync } from 'node:fs';
import { native } from '@sunstar/native';
import { callIn, ERRNO, type ShardContext, type Sharded } from '@sunstar/runtime';
import type { Listener } from '../listener.js';
import type { Network } from '../network.js';
import type { BalancedAcceptor } from './balanced-acceptor.js';

/** The address that an acceptor listens on. */
export interface BoundAddress {
  readonly address: string;
  readonly port: number;
}

/** What became of a connection that was offered to a shard. */
export const Taken = {
  /** The shard serves it, with a descriptor of its own. */
  Yes: 0,
  /** The shard does not listen there (any more). */
  NotServing: 1,
  /** It has no descriptor for it. */
  NoDescriptor: 2,
  /** The number was not that of the connection any more: the shard that offered it has ended meanwhile. */
  Gone: 3,
} as const;

interface Member {
  readonly listener: Listener;
  readonly bound: BoundAddress;
  readonly groupId: number;
}

interface Waiting {
  readonly resolve: (bound: BoundAddress) => void;
  readonly reject: (error: Error) => void;
}

/**
 * The part of one shard in listeners that several shards share: those it accepts for, and those it takes connections
 * of. The shards call each other's methods.
 *
 * A connection crosses over as the number of its descriptor, which is the same in all threads. Who takes it makes a
 * duplicate of its own, and the giver closes the original when it knows that: so at each moment a thread owns a
 * descriptor that ends with it, and no connection is left over, whoever crashes. A giver that ends before its message
 * was read has closed the number, which may be something else by then: the socket's inode tells.
 */
export class Balancer {
  readonly #network: Network;
  readonly #members = new Map<string, Member>();
  readonly #acceptors = new Map<string, BalancedAcceptor>();
  readonly #failures = new Map<string, Error>();
  readonly #waiting = new Map<string, Waiting[]>();

  constructor(network: Network) {
    this.#network = network;
  }

  /** Open connections of this shard: the other shards hear of it with every answer. */
  get connections(): number {
    return this.#network.openCount;
  }

  // ---- of the shard that accepts

  /** Where it listens, as soon as it does. Rejects with what keeps it from listening. */
  whenOpen(key: string): Promise<BoundAddress> {
    const acceptor = this.#acceptors.get(key);
    if (acceptor !== undefined) return Promise.resolve({ address: acceptor.address, port: acceptor.port });
    const failure = this.#failures.get(key);
    if (failure !== undefined) return Promise.reject(failure);
    return new Promise((resolve, reject) => {
      const waiting = this.#waiting.get(key) ?? [];
      waiting.push({ resolve, reject });
      this.#waiting.set(key, waiting);
    });
  }

  /** A shard takes connections from now on. */
  join(key: string, shardId: number): Promise<void> {
    return this.#acceptors.get(key)?.join(shardId) ?? Promise.resolve();
  }

  /** A shard takes no more. */
  leave(key: string, shardId: number): void {
    this.#acceptors.get(key)?.leave(shardId);
  }

  /** The local acceptor listens. */
  opened(key: string, acceptor: BalancedAcceptor): void {
    this.#acceptors.set(key, acceptor);
    this.#failures.delete(key);
    const { address, port } = acceptor;
    for (const { resolve } of this.#take(key)) resolve({ address, port });
  }

  /** It cannot. */
  failed(key: string, error: Error): void {
    this.#failures.set(key, error);
    for (const { reject } of this.#take(key)) reject(error);
  }

  /** It does no longer. */
  ended(key: string): void {
    this.#acceptors.delete(key);
  }

  #take(key: string): readonly Waiting[] {
    const waiting = this.#waiting.get(key) ?? [];
    this.#waiting.delete(key);
    return waiting;
  }

  // ---- of a shard that serves

  /** The address whose connections this shard takes; null: it takes none. */
  bound(key: string): BoundAddress | null {
    return this.#members.get(key)?.bound ?? null;
  }

  /** Whether a listener of this shard has this key. */
  has(key: string): boolean {
    return this.#members.has(key) || this.#acceptors.has(key);
  }

  /** The local listener takes connections that others accept. */
  serve(key: string, listener: Listener, bound: BoundAddress, groupId: number): void {
    this.#members.set(key, { listener, bound, groupId });
  }

  /** It does no longer. */
  unserve(key: string): void {
    this.#members.delete(key);
  }

  /** Takes over a connection of another shard; one of {@link Taken}. */
  take(key: string, fd: number, inode: number): number {
    const member = this.#members.get(key);
    if (member === undefined) return Taken.NotServing;
    const own = native.duplicateDescriptor(fd);
    if (own < 0) return own === -ERRNO.EBADF ? Taken.Gone : Taken.NoDescriptor;
    try {
      this.#network.reactor.descriptors.own(own);
    } catch {
      // Beyond what this thread can keep account of.
      native.closeDescriptor(own);
      return Taken.NoDescriptor;
    }
    if (inodeOf(own) !== inode) {
      this.#network.reactor.close(own);
      return Taken.Gone;
    }
    callIn(member.groupId, () => member.listener.accept(own));
    return Taken.Yes;
  }
}

/** What tells a socket from all others, for as long as it lives. */
export function inodeOf(fd: number): number {
  return fstatSync(fd).ino;
}

const balancers = new WeakMap<Network, Promise<Sharded<Balancer>>>();

/** The balancers of all shards; every one must ask for them. */
export function balancersOf(shard: ShardContext, network: Network): Promise<Sharded<Balancer>> {
  let made = balancers.get(network);
  if (made === undefined) {
    made = shard.sharded({ name: 'sunstar.net.balancer', fields: ['connections'] }, Balancer, network);
    balancers.set(network, made);
  }
  return made;
}
