import type { MessagePort } from 'node:worker_threads';
import { aliasOf } from '@sunstar/native';
import { SunstarError } from '../errors.js';
import type { Arena } from '../memory/index.js';
import { threadTimers } from '../sync/index.js';
import { Answers } from './answers.js';
import type { CallClocks } from './call-limits.js';
import type { CallOptions } from './call-options.js';
import { Caller } from './caller.js';
import { Directory, type LocalService } from './directory.js';
import { ControlLayout, SHARD_RUNNING, SHARD_STOPPED } from './layout.js';
import { Link } from './link.js';
import type { MeshGroupStats, MeshStats } from './mesh-stats.js';
import { REGISTER, targetOf } from './message.js';
import { MessageReader, MessageWriter } from './message-io.js';
import { type FullLimits, fullLimits, inRange, type MeshOptions } from './options.js';
import './remote-signal.js';
import './remote-stream.js';
import './transferable.js';
import {
  type EndObject,
  endByItself,
  FOREIGN_TARGET,
  ForeignObjects,
  foreignService,
} from './foreign-objects.js';
import { ForeignPtr } from './foreign-ptr.js';
import { type Announcement, Inbox } from './inbox.js';
import { KnownLoad } from './known-load.js';
import { LocalCall } from './local-call.js';
import { OwnLoad } from './own-load.js';
import { Peer } from './peer.js';
import { notSent } from './remote-error.js';
import { Server } from './server.js';
import { type ServiceOptions, serviceOptions } from './service-options.js';
import { Sharded } from './sharded.js';
import { sharedClock } from './shared-clock.js';

/**
 * One shard's end of the calls between the shards of a runtime. Belongs to its thread; all that it shares
 * with the others are the control block and the arenas.
 */
export class Mesh {
  /** The number of this shard. */
  readonly shardId: number;
  /** How many shards there are. */
  readonly shardCount: number;
  /** The control block as 32-bit words, for Atomics. */
  readonly words: Int32Array;
  /** Pairs of word indices, tail and head of each inbound ring: there is work while a pair differs. */
  readonly watch: Int32Array;
  /** This shard's sleeping flag: 1 from before it sleeps until it is awake; a peer that wakes it clears it. */
  readonly sleepWord: number;

  /** Where the time of calls comes from. For {@link Sharded}. @internal */
  readonly clocks: CallClocks;
  readonly #limits: FullLimits;
  readonly #stateWord: number;
  /** By shard number; undefined at this shard's own. */
  readonly #links: (Link | undefined)[] = [];
  readonly #peers: Link[] = [];
  readonly #directory: Directory;
  readonly #writer: MessageWriter;
  readonly #reader: MessageReader;
  readonly #caller: Caller;
  readonly #server: Server;
  readonly #inbox: Inbox;
  /** Objects of this shard that others may point to. For {@link ForeignPtr}. @internal */
  readonly foreignObjects: ForeignObjects;
  readonly #foreignService: LocalService;
  readonly #ownLoad: OwnLoad;
  /** What is known of services, without asking. For {@link Sharded}. @internal */
  readonly knownLoad: KnownLoad;
  /** By shard number; the reader has the same array. */
  readonly #arenas: Arena[];
  readonly #newLink: (peerId: number, port: MessagePort | undefined) => Link;
  /** By service number; the place of one that still waits for other shards is empty. */
  readonly #services: Sharded<object>[] = [];
  #closed = false;

  /** @throws SunstarError `SUNSTAR_INVALID_OPTION`, `SUNSTAR_INVALID_CONTROL_BLOCK` */
  constructor(options: MeshOptions) {
    const { control, memory, wake } = options;
    const layout = ControlLayout.of(control);
    const shardId = inRange('shardId', options.shardId, 0, layout.shardCount - 1);
    this.shardId = shardId;
    this.shardCount = layout.shardCount;
    this.#arenas = [...options.peerArenas];
    this.#limits = fullLimits(options);
    // Explicit lengths matter: a view that tracks a growable buffer is dozens of times slower.
    this.words = new Int32Array(control, 0, layout.sizeBytes >>> 2);
    const alias = options.controlAlias ?? aliasOf(new Uint8Array(control, 0, layout.sizeBytes));
    this.#directory = new Directory(shardId, layout.shardCount);
    this.#reader = new MessageReader(alias, layout.sizeBytes, this.#arenas);
    this.#writer = new MessageWriter(memory, this.#limits, this.#reader.slots);
    const { maxOutstanding } = this.#limits;
    this.clocks = { clock: options.clock ?? sharedClock, timers: options.timers ?? threadTimers };
    this.#caller = new Caller(this.#writer, this.#reader, this.#directory, maxOutstanding, this.clocks);
    this.#ownLoad = new OwnLoad(memory, () => this.#queueDepth(), options.idleMs, this.clocks.clock);
    this.foreignObjects = new ForeignObjects(shardId);
    this.#foreignService = foreignService(this.foreignObjects);
    this.#server = new Server(
      this.#foreignService,
      new Answers(this.#writer, this.#ownLoad),
      this.#reader,
      this.#directory,
      this.clocks.clock,
      this.#ownLoad,
    );

    this.knownLoad = new KnownLoad(
      this.#links,
      this.#arenas,
      memory.arena,
      this.#ownLoad,
      this.#directory,
      this.clocks.clock,
    );
    this.#inbox = new Inbox({
      peers: this.#peers,
      limits: this.#limits,
      reader: this.#reader,
      caller: this.#caller,
      server: this.#server,
      directory: this.#directory,
      load: this.#ownLoad,
      turnClock: options.turnClock ?? this.clocks.clock,
    });

    const views = { shared: this.words, slots: this.#reader.slots, layout };
    // Calls, answers, one-way messages, elements of streams, and those of the mesh's own.
    const maxQueued = 8 * this.#limits.maxOutstanding + 65_536;
    this.#newLink = (peerId, port) => {
      const link = new Link({ views, shardId, peerId, memory, maxQueued, wake });
      link.peer = new Peer(this, link, this.#arenas[peerId], this.#writer, port);
      return link;
    };
    const watch: number[] = [];
    for (let peerId = 0; peerId < layout.shardCount; peerId++) {
      const link = peerId === shardId ? undefined : this.#newLink(peerId, options.peerPorts?.[peerId]);
      this.#links.push(link);
      if (link === undefined) continue;
      this.#peers.push(link);
      watch.push(layout.tailWord(peerId, shardId), layout.headWord(peerId, shardId));
    }
    this.watch = Int32Array.from(watch);
    this.sleepWord = layout.sleepWord(shardId);
    this.#stateWord = layout.stateWord(shardId);
    Atomics.store(this.words, this.#stateWord, SHARD_RUNNING);
  }

  /** The services of this shard in the order of their start: stop them in the reverse order. */
  get services(): readonly Sharded<object>[] {
    return this.#services.filter(() => true);
  }

  /** The smoothed time that a call of each service takes here; NaN of one that was not called. */
  serviceLatencies(): { readonly service: string; readonly latencyUs: number }[] {
    return this.#services.map(({ name }, id) => ({ service: name, latencyUs: this.#ownLoad.latencyUs(id) }));
  }

  /** A snapshot of the counters. */
  get stats(): MeshStats {
    let overflowed = 0;
    let queued = 0;
    let wakeUps = 0;
    let blocksAway = 0;
    let held = 0;
    for (const link of this.#peers) {
      overflowed += link.overflowed;
      queued += link.queued;
      wakeUps += link.wakeUps;
      blocksAway += link.blocksAway;
      held += link.peer.held;
    }
    const { sent, outstanding, givenUp } = this.#caller;
    const { served } = this.#server;
    return { sent, served, outstanding, givenUp, overflowed, queued, wakeUps, blocksAway, held };
  }

  /** The counters of a scheduling group. */
  statsOf(groupId: number): MeshGroupStats {
    return {
      sent: this.#caller.sentBy(groupId),
      served: this.#server.servedFor(groupId),
      outstanding: this.#caller.outstandingOf(groupId),
    };
  }

  /**
   * Makes this shard's instance of a service and connects it with those of the other shards, which must
   * start the same service under the same name.
   *
   * @returns When every shard has its instance.
   * @throws SunstarError `SUNSTAR_SERVICE_EXISTS`, `SUNSTAR_SERVICE_TIMEOUT` naming the shards that did
   *   not start it, `SUNSTAR_INVALID_SERVICE`, `SUNSTAR_TOO_MANY_SERVICES`, `SUNSTAR_SHARD_STOPPED`; what
   *   the constructor throws.
   */
  async sharded<T extends object, A extends unknown[]>(
    given: string | ServiceOptions,
    service: new (...args: A) => T,
    ...args: A
  ): Promise<Sharded<T>> {
    const options = serviceOptions(given);
    const { name } = options;
    this.#refuseToStart(name);
    const instance = new service(...args);
    // Once more: the constructor may have started another service, or closed the mesh.
    this.#refuseToStart(name);
    const fieldNames = options.fields ?? [];
    const local = this.#directory.add(name, instance, fieldNames, options.group?.id ?? -1);
    for (const link of this.#peers) this.#announce(link, local);
    await this.#directory.complete(
      name,
      this.#peers.map((link) => link.peerId),
      this.#limits.serviceTimeoutMs,
    );
    const sharded = new Sharded<T>(this, local, options);
    this.#services[local.id] = sharded;
    return sharded;
  }

  /**
   * The target of calls to a method of a peer's service, −1 when it has none of that name. For {@link Sharded}.
   * @internal
   */
  target(peerId: number, service: string, method: string): number {
    const known = this.#directory.peerService(peerId, service);
    const index = known?.methods.indexOf(method) ?? -1;
    return known === undefined || index < 0 ? -1 : targetOf(known.id, index);
  }

  /**
   * Whether a peer has told of a service. For {@link Sharded}.
   * @internal
   */
  hasService(peerId: number, service: string): boolean {
    return this.#directory.peerService(peerId, service) !== undefined;
  }

  /**
   * Makes a pointer to an object of this shard, which other shards may hold. For the shard.
   *
   * @param end - Ends the object when nobody points to it any more.
   */
  foreign<T extends object>(object: T, end: EndObject<T> = endByItself): ForeignPtr<T> {
    const { foreignObjects } = this;
    const id = foreignObjects.add(object, end as EndObject<object>);
    return new ForeignPtr<T>(this, this.shardId, id, () => foreignObjects.end(id));
  }

  /**
   * Calls a method of an object that others may point to. For {@link ForeignPtr}. Never throws.
   *
   * @param owner - The connection with its shard, undefined for this shard.
   * @internal
   */
  callForeign(owner: Link | undefined, args: readonly unknown[], options: CallOptions): Promise<unknown> {
    // A shard that was started again has other objects: the old connection stays stopped.
    if (owner !== undefined) return this.#caller.callWith(owner, FOREIGN_TARGET, args, options);
    return new LocalCall(this.shardId, 'foreign object', options, this.clocks).run(
      this.#foreignService,
      'call',
      args,
    );
  }

  /**
   * The connection with a peer. For {@link Sharded}.
   * @internal
   */
  link(peerId: number): Link {
    const link = this.#links[peerId];
    if (link === undefined)
      throw new SunstarError('SUNSTAR_NO_SUCH_SHARD', `Shard ${peerId} is no other shard.`);
    return link;
  }

  /**
   * Calls a method of a peer's service. For {@link Sharded}. Never throws: what is wrong rejects the promise.
   * @internal
   */
  call(link: Link, target: number, args: readonly unknown[]): Promise<unknown> {
    return this.#caller.call(link, target, args);
  }

  /**
   * Calls a method of a peer's service with options. For {@link Sharded}. Never throws, as above.
   * @internal
   */
  callWith(link: Link, target: number, args: readonly unknown[], options: CallOptions): Promise<unknown> {
    return this.#caller.callWith(link, target, args, options);
  }

  /**
   * Calls a method of a peer's service one way. For {@link Sharded}. Throws what is wrong on this side.
   * @internal
   */
  notify(link: Link, target: number, args: readonly unknown[]): void {
    this.#caller.notify(link, target, args);
  }

  /**
   * Handles messages of the peers: runs calls, settles promises, takes blocks back. Takes turns among the
   * peers and is bounded, so that one that floods this shard starves neither the others nor the reactor.
   *
   * @returns How many messages were handled.
   */
  poll(): number {
    return this.#inbox.poll();
  }

  /**
   * A shard has crashed or ended: handles what it had sent, rejects the calls that it has not answered with
   * `SUNSTAR_SHARD_STOPPED`, and takes back the memory that it was reading. Only for a shard whose thread
   * has ended; one that closes its mesh says so by itself. Calling it twice does no harm.
   *
   * @param cause - Becomes the cause of the errors.
   */
  peerGone(shardId: number, cause: unknown): void {
    const link = this.#links[shardId];
    if (link !== undefined) this.#inbox.gone(link, cause);
  }

  /**
   * A shard that was gone was started again, by another thread with memory of its own: calls to it work as soon as it
   * has started the service. Only after {@link peerGone}, and after `resetShard()`.
   *
   * @param arena - Its memory.
   * @param port - See {@link MeshOptions.peerPorts}.
   */
  peerBack(shardId: number, arena: Arena, port?: MessagePort): void {
    const gone = this.#links[shardId];
    if (gone === undefined || this.#closed) return;
    if (!gone.stopped) {
      throw new SunstarError('SUNSTAR_BROKEN_INVARIANT', `Shard ${shardId} came back without having gone.`);
    }
    this.#arenas[shardId] = arena;
    this.#directory.forget(shardId);
    // A new one: whatever belongs to calls and values of the former shard holds the old one, which stays stopped.
    const link = this.#newLink(shardId, port);
    this.#links[shardId] = link;
    this.#peers[this.#peers.indexOf(gone)] = link;
    for (const service of this.#directory.local) this.#announce(link, service);
  }

  /**
   * Ends this shard's part: tells the peers, and rejects the calls that wait with `SUNSTAR_SHARD_STOPPED`.
   * Calls that run here go on, their answers are dropped. Calling it twice does no harm.
   */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    Atomics.store(this.words, this.#stateWord, SHARD_STOPPED);
    for (const link of this.#peers) {
      link.bye();
      this.#caller.abandon(link);
      this.#directory.peerGone(link.peerId, notSent(link, 'the start of a service'));
    }
  }

  /** Throws when the state is inconsistent; for tests. */
  invariants(): void {
    this.#caller.invariants();
    this.#directory.invariants();
    let outstanding = 0;
    for (const link of this.#peers) {
      link.invariants();
      outstanding += link.outstanding;
    }
    if (outstanding !== this.#caller.outstanding || this.#writer.busy) {
      throw new SunstarError('SUNSTAR_BROKEN_INVARIANT', 'The mesh lost count of its calls.');
    }
  }

  #announce(link: Link, { id, name, methods, fields }: LocalService): void {
    const announcement: Announcement = [id, name, methods, ...(fields?.names ?? [])];
    this.#writer.postValue(link, REGISTER, 0, announcement, 'service');
  }

  /** Calls that run here, and messages that wait. */
  #queueDepth(): number {
    let depth = this.#server.running;
    for (const link of this.#peers) depth += link.consumer.available();
    return depth;
  }

  #refuseToStart(name: string): void {
    for (const link of this.#peers) {
      if (link.stopped) throw notSent(link, `the start of service '${name}'`);
    }
    if (this.#closed) {
      throw new SunstarError(
        'SUNSTAR_SHARD_STOPPED',
        `Shard ${this.shardId} is stopping and starts no service.`,
      );
    }
    this.#directory.checkName(name);
  }
}
