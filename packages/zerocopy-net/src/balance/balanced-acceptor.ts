import { native } from '@sunstar/native';
import { callIn, currentGroupId, type ShardContext, type Sharded, SunstarError } from '@sunstar/runtime';
import { AcceptSocket, type AcceptSocketOptions, type ConnectionSource } from '../accept-socket.js';
import type { Listener } from '../listener.js';
import type { Network } from '../network.js';
import { withoutPrefix } from '../zero-copy/local-addresses.js';
import { type Balancer, inodeOf, Taken } from './balancer.js';
import type { Balance } from './options.js';
import { ShardLoads } from './shard-loads.js';

/** Connections that may be on their way to one shard; a shard that does not answer gets no more. */
const MAX_UNDER_WAY = 1024;
/** A shard that has told nothing for so long is asked, when a connection comes. */
const MAX_AGE_MS = 1000;

/** What a {@link BalancedAcceptor} works with. */
export interface AcceptorParts {
  readonly shard: ShardContext;
  readonly network: Network;
  readonly balancers: Sharded<Balancer>;
  readonly key: string;
  readonly balance: Balance;
  /** The listener of this shard. */
  readonly listener: Listener;
  /** One for each socket: a process before may have had several. */
  readonly sockets: readonly AcceptSocketOptions[];
}

/** The one acceptor of a listener that several shards share: gives each connection to one of them. */
export class BalancedAcceptor implements ConnectionSource {
  readonly #parts: AcceptorParts;
  readonly #sockets: readonly AcceptSocket[];
  readonly #loads: ShardLoads;
  /** The shards that take connections, this one included. */
  readonly #members: Set<number>;
  readonly #underWay: Uint32Array;
  readonly #isAsked: Uint8Array;
  #allUnderWay = 0;
  #arrived: (() => void) | null = null;
  #groupId = 0;

  constructor(parts: AcceptorParts) {
    const { shard, network, balancers } = parts;
    this.#parts = parts;
    this.#members = new Set([shard.id]);
    this.#underWay = new Uint32Array(shard.count);
    this.#isAsked = new Uint8Array(shard.count);
    this.#loads = new ShardLoads(shard.count, (shardId) => {
      const load = balancers.load(shardId);
      if (load === undefined) return undefined;
      const connections = shardId === shard.id ? network.openCount : load.fields.connections;
      return { utilisation: load.utilisation, connections: connections + this.#underWay[shardId] };
    });
    this.#sockets = parts.sockets.map(
      (options) => new AcceptSocket(network, options, (fd) => this.#accepted(fd)),
    );
  }

  get port(): number {
    return this.#sockets[0].port;
  }

  get address(): string {
    return this.#sockets[0].address;
  }

  /** The listening sockets. */
  get sockets(): readonly AcceptSocket[] {
    return this.#sockets;
  }

  /** A shard takes connections, from when it has answered. */
  async join(shardId: number): Promise<void> {
    const { balancers, key } = this.#parts;
    // The answer tells how busy it is; a shard of which nothing is known is gone, or has not come yet.
    const bound = await balancers.on(shardId).bound(key);
    if (bound !== null) this.#members.add(shardId);
    else this.#members.delete(shardId);
  }

  /** A shard takes no more. */
  leave(shardId: number): void {
    this.#members.delete(shardId);
  }

  async stop(isHandedOver: boolean): Promise<void> {
    await Promise.all(this.#sockets.map((socket) => socket.stop(isHandedOver)));
    if (this.#allUnderWay > 0) {
      await new Promise<void>((resolve) => {
        this.#arrived = resolve;
        this.#groupId = currentGroupId();
      });
    }
    this.#parts.balancers.local.ended(this.#parts.key);
  }

  #accepted(fd: number): void {
    void this.#give(fd, this.#choose(fd, this.#members));
  }

  #choose(fd: number, members: ReadonlySet<number>): number {
    const { shard, balance, network } = this.#parts;
    if (balance === 'client-address') return this.#ownerOf(fd, members);
    for (const shardId of members) this.#refresh(shardId);
    const free = this.#allUnderWay < MAX_UNDER_WAY ? members : this.#notFull(members);
    const best = this.#loads.pick(free, network.reactor.nowMs);
    return best < 0 ? shard.id : best;
  }

  #notFull(members: ReadonlySet<number>): ReadonlySet<number> {
    return new Set([...members].filter((shardId) => this.#underWay[shardId] < MAX_UNDER_WAY));
  }

  /** The shard of the client's address, or the next one that takes connections. */
  #ownerOf(fd: number, members: ReadonlySet<number>): number {
    const { shard } = this.#parts;
    const peer = native.peerName(fd);
    // It has gone already: whoever gets it will find out.
    if (typeof peer === 'number') return shard.id;
    const first = shard.ownerOf(withoutPrefix(peer.address));
    for (let i = 0; i < shard.count; i++) {
      const shardId = (first + i) % shard.count;
      if (members.has(shardId) && this.#underWay[shardId] < MAX_UNDER_WAY) return shardId;
    }
    return shard.id;
  }

  /** Asks a shard how it is, if it has told nothing lately. */
  #refresh(shardId: number): void {
    const { shard, balancers } = this.#parts;
    if (shardId === shard.id || this.#isAsked[shardId] !== 0) return;
    const load = balancers.load(shardId);
    if (load === undefined) this.#members.delete(shardId);
    else if (load.ageMs > MAX_AGE_MS) void this.#ask(shardId);
  }

  async #ask(shardId: number): Promise<void> {
    this.#isAsked[shardId] = 1;
    try {
      await this.join(shardId);
    } catch (error) {
      this.#lost(shardId, error);
    } finally {
      this.#isAsked[shardId] = 0;
    }
  }

  /** Gives a connection to a shard, and to another one if that does not take it. */
  async #give(fd: number, firstChoice: number): Promise<void> {
    const { shard, listener } = this.#parts;
    let left: Set<number> | undefined;
    let shardId = firstChoice;
    while (shardId !== shard.id) {
      const taken = await this.#offer(fd, shardId);
      if (taken === undefined) return;
      if (taken === Taken.NotServing) this.#members.delete(shardId);
      left ??= new Set(this.#members);
      left.delete(shardId);
      shardId = left.size === 0 ? shard.id : this.#choose(fd, left);
    }
    this.#loads.give(shardId);
    listener.accept(fd);
  }

  /** Offers a connection to a shard; undefined when it need not be offered to others. */
  async #offer(fd: number, shardId: number): Promise<number | undefined> {
    const { balancers, key, network, listener } = this.#parts;
    const { reactor } = network;
    // One that is gone is not sent anything: then another shard can have the connection.
    if (balancers.load(shardId) === undefined) return Taken.NotServing;
    this.#loads.give(shardId);
    this.#underWay[shardId]++;
    this.#allUnderWay++;
    try {
      const taken = await balancers.on(shardId).take(key, fd, inodeOf(fd));
      if (taken !== Taken.Yes) return taken;
      listener.gave();
      reactor.close(fd);
    } catch (error) {
      this.#lost(shardId, error);
      // It may have begun to serve: nobody else can go on from there.
      listener.lost();
      native.setLinger(fd, 0);
      native.disconnect(fd);
      reactor.close(fd);
    } finally {
      this.#underWay[shardId]--;
      this.#allUnderWay--;
      if (this.#allUnderWay === 0 && this.#arrived !== null) callIn(this.#groupId, this.#arrived);
    }
    return undefined;
  }

  #lost(shardId: number, error: unknown): void {
    this.#members.delete(shardId);
    if (error instanceof SunstarError && error.code === 'SUNSTAR_SHARD_STOPPED') return;
    this.#parts.network.log.error({ err: error, shard: shardId }, 'a shard takes no connections');
  }
}
