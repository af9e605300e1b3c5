import {
  callIn,
  currentGroupId,
  currentShard,
  type Reactor,
  type ShardContext,
  type ShardMemory,
  SunstarError,
} from '@sunstar/runtime';
import { DueList } from './due-list.js';
import { registerNetworkMetrics } from './network-metrics.js';
import { integerOption } from './options.js';
import { type ReceiveBufferOptions, ReceiveBuffers } from './receive-buffers.js';
import type { ReceivePool } from './receive-pool.js';
import { SendTables } from './send-tables.js';
import { addTo, type ConnectionStats, newConnectionStats } from './stats.js';
import { Sweeper } from './sweeper.js';
import type { Transport } from './transport.js';
import type { ZeroCopyOptions } from './zero-copy/options.js';
import { ShardZeroCopy } from './zero-copy/shard-zero-copy.js';
import type { ZeroCopyStats } from './zero-copy/stats.js';

/** What a network needs of its shard: a {@link ShardContext} has it. */
export interface NetworkShard {
  readonly reactor: Pick<
    Reactor,
    | 'submit'
    | 'submitAtOnce'
    | 'cancel'
    | 'defer'
    | 'allocateBufferGroup'
    | 'close'
    | 'closeAndWait'
    | 'ref'
    | 'unref'
    | 'nowMs'
    | 'ring'
    | 'registrations'
    | 'descriptors'
    | 'zeroCopy'
  >;
  readonly memory: ShardMemory;
  /** Shards of the runtime, which divide the user's locked memory. */
  readonly count: number;
  readonly log: Pick<ShardContext['log'], 'error' | 'warn' | 'info' | 'debug'>;
}

/** The clock of `reactor.nowMs`, read now: that one stands still while no tick runs. */
function monotonicMs(): number {
  const [seconds, nanoseconds] = process.hrtime();
  return seconds * 1000 + nanoseconds / 1e6;
}

/** Options of {@link configureNetwork}. */
export interface NetworkOptions extends ReceiveBufferOptions {
  /** How large output is sent without a copy. */
  readonly zeroCopy?: ZeroCopyOptions;
}

/**
 * What the connections of one shard share: the receive buffers, the step of the tick in which output
 * leaves, and the timer for deadlines.
 */
export class Network {
  readonly reactor: NetworkShard['reactor'];
  readonly memory: ShardMemory;
  readonly log: NetworkShard['log'];
  readonly receiveBuffers: ReceiveBuffers;
  /** What connections receive into. */
  readonly pool: ReceivePool;
  readonly tables: SendTables;
  readonly sweeper: Sweeper;
  readonly zeroCopy: ShardZeroCopy;
  /** Milliseconds on the clock of `reactor.nowMs`, exact also outside of a tick. */
  readonly clock: () => number;
  /** Of the outgoing connections. */
  readonly stats: ConnectionStats = newConnectionStats();

  readonly #transports = new Set<Transport>();
  readonly #sources = new Set<ConnectionStats>([this.stats]);
  readonly #past: ConnectionStats = newConnectionStats();
  #whenEmpty: (() => void) | null = null;
  #waitingGroupId = 0;
  /** By scheduling group. */
  readonly #due: DueList[] = [];

  constructor(shard: NetworkShard, options: NetworkOptions = {}, clock: () => number = monotonicMs) {
    this.clock = clock;
    this.reactor = shard.reactor;
    this.memory = shard.memory;
    this.log = shard.log;
    this.tables = new SendTables(shard.memory);
    this.sweeper = new Sweeper(clock);
    const { zeroCopy = {} } = options;
    const quarter = Math.floor(shard.memory.arena.sizeBytes / 4);
    const maxHeldBytes = integerOption('maxHeldBytes', zeroCopy.maxHeldBytes, quarter, 0, 2 ** 32);
    this.zeroCopy = new ShardZeroCopy(
      shard.memory,
      {
        probe: () => shard.reactor.ring.probe(),
        registerMemory: () => shard.reactor.registrations.registerMemory(shard.memory.arena),
      },
      shard.count,
      clock,
      zeroCopy,
      maxHeldBytes,
    );
    this.receiveBuffers = new ReceiveBuffers(shard.reactor, shard.memory, options);
    this.pool = this.receiveBuffers.streams;
  }

  /** Connections whose descriptor is open. */
  get openCount(): number {
    return this.#transports.size;
  }

  /** A transport was made; the event loop stays alive for it. */
  opened(transport: Transport): void {
    this.#transports.add(transport);
    this.reactor.ref();
    const { idleTimeoutMs, firstByteTimeoutMs } = transport.limits;
    if (idleTimeoutMs > 0) this.sweeper.watch(transport, idleTimeoutMs);
    if (firstByteTimeoutMs > 0) this.sweeper.watch(transport, firstByteTimeoutMs);
  }

  /** A transport's descriptor is closed. */
  closed(transport: Transport): void {
    this.#transports.delete(transport);
    this.reactor.unref();
    if (this.#transports.size === 0 && this.#whenEmpty !== null)
      callIn(this.#waitingGroupId, this.#whenEmpty);
  }

  /** Counts a listener's connections in {@link totals}. */
  addStats(stats: ConnectionStats): void {
    this.#sources.add(stats);
  }

  /** The listener is closed: its counters are kept, its object is not. */
  removeStats(stats: ConnectionStats): void {
    if (this.#sources.delete(stats)) addTo(this.#past, stats);
  }

  /** The counters of all connections of the shard, past and present. */
  totals(): ConnectionStats {
    const totals = newConnectionStats();
    addTo(totals, this.#past);
    for (const stats of this.#sources) addTo(totals, stats);
    return totals;
  }

  /** Has `transport.runDeferred()` called at the end of this tick, or in the next. */
  enqueue(transport: Transport): void {
    const { groupId } = transport;
    this.#due[groupId] ??= new DueList(this.reactor, groupId);
    this.#due[groupId].add(transport);
  }

  /** Resets every connection; resolves when all descriptors are closed. */
  async shutDown(): Promise<void> {
    for (const transport of this.#transports) transport.reset(null);
    if (this.#transports.size > 0) {
      await new Promise<void>((resolve) => {
        this.#whenEmpty = resolve;
        this.#waitingGroupId = currentGroupId();
      });
    }
    this.tables.trim();
  }

  /** Throws when the parts contradict each other. */
  invariants(): void {
    this.receiveBuffers.invariants();
    this.zeroCopy.invariants();
    for (const transport of this.#transports) transport.invariants();
  }
}

const networks = new WeakMap<ShardMemory, Network>();

/** The network of the current shard, made at first use. */
export function currentNetwork(options?: NetworkOptions): Network {
  const shard = currentShard();
  let network = networks.get(shard.memory);
  if (network === undefined) {
    network = new Network(shard, options);
    networks.set(shard.memory, network);
    const made = network;
    shard.onStop(() => made.shutDown());
    registerNetworkMetrics(shard.metrics, made);
  }
  return network;
}

/**
 * Sizes the receive buffers of the current shard. Call it before the first `listen` or `connect` there;
 * without it the defaults hold.
 *
 * @throws SunstarError SUNSTAR_NETWORK_IN_USE, SUNSTAR_INVALID_OPTION, SUNSTAR_OUT_OF_MEMORY
 */
export function configureNetwork(options: NetworkOptions): void {
  if (networks.has(currentShard().memory)) {
    throw new SunstarError(
      'SUNSTAR_NETWORK_IN_USE',
      'The network of this shard is in use already. Call configureNetwork() before the first listen() or connect().',
    );
  }
  currentNetwork(options);
}

/** What all connections of the current shard have done so far, and the state of the receive buffers. */
export interface NetworkStats extends ConnectionStats {
  /** Bytes of one receive buffer. */
  readonly receiveBufferBytes: number;
  /** How many there are. */
  readonly receiveBufferCount: number;
  /** How many are with the kernel and not full. */
  readonly receiveBuffersFree: number;
  /** Pieces of input that lie in receive buffers and were not let go of: held by an `IOBuf`, or about to be delivered. */
  readonly receivePiecesHeld: number;
  /** Pieces share a receive buffer until it is full; false: each takes a whole one, as on Linux before 6.12. */
  readonly incrementalReceive: boolean;
  /** How large output is sent, and why. */
  readonly zeroCopy: ZeroCopyStats;
}

/** A snapshot of the current shard's counters. */
export function networkStats(): NetworkStats {
  const network = currentNetwork();
  return {
    ...network.totals(),
    receiveBufferBytes: network.pool.bufferBytes,
    receiveBufferCount: network.pool.bufferCount,
    receiveBuffersFree: network.pool.free,
    receivePiecesHeld: network.pool.heldPieces,
    incrementalReceive: network.pool.isIncremental,
    zeroCopy: network.zeroCopy.stats(),
  };
}
