import { type Completion, ERRNO, type Reactor, type ShardMemory, systemError } from '@sunstar/runtime';
import { invalidOption } from './errors.js';
import { integerOption } from './options.js';
import {
  affordableBufferCount,
  MAX_RECEIVE_BUFFER_BYTES,
  MAX_RECEIVE_BUFFERS,
  MIN_RECEIVE_BUFFER_BYTES,
  ReceivePool,
} from './receive-pool.js';

/** What a whole buffer for each piece takes: bulk input costs a sixth less processor time than with 4 KiB. */
const WHOLE_BUFFER_BYTES = 16_384;
const WHOLE_BUFFER_COUNT = 1024;
/** Buffers that are used up bit by bit may be large: small pieces waste nothing of them. */
const INCREMENTAL_BUFFER_BYTES = 65_536;
const INCREMENTAL_BUFFER_COUNT = 256;
const DATAGRAM_BUFFER_COUNT = 256;

/** How much memory a shard receives into. */
export interface ReceiveBufferOptions {
  /**
   * Bytes of one receive buffer of connections, a power of two: the longest piece that arrives at once. Larger ones
   * save work on bulk transfers. @defaultValue 65536, or 16384 where a piece takes a whole buffer; 512 to 131072
   */
  readonly receiveBufferBytes?: number;
  /**
   * How many of them the shard has, a power of two. @defaultValue As many as make 16 MiB, but at most a sixteenth of the
   * shard's memory; 8 to 32768
   */
  readonly receiveBufferCount?: number;
  /**
   * Have the kernel put pieces one behind the other into a buffer until it is full, where it can (Linux 6.12); false:
   * each piece takes a whole buffer. See `networkStats().incrementalReceive`. @defaultValue true
   */
  readonly incrementalReceive?: boolean;
  /**
   * Bytes of one receive buffer of UDP sockets, a power of two; each datagram takes one, and 72 bytes of it are not its
   * own. They are taken from memory with the first UDP socket. @defaultValue 16384; 512 to 131072
   */
  readonly datagramBufferBytes?: number;
  /**
   * How many of them the shard has, a power of two. @defaultValue 256, but at most a sixteenth of the shard's memory;
   * 8 to 32768
   */
  readonly datagramBufferCount?: number;
}

type BufferReactor = Pick<Reactor, 'allocateBufferGroup' | 'defer' | 'ring'>;

/** The memory that a shard receives into: one pool for all connections, and one for UDP sockets when there are any. */
export class ReceiveBuffers {
  readonly streams: ReceivePool;
  readonly #reactor: BufferReactor;
  readonly #memory: ShardMemory;
  readonly #datagramBytes: number;
  readonly #datagramCount: number;
  #datagrams: ReceivePool | null = null;

  constructor(reactor: BufferReactor, memory: ShardMemory, options: ReceiveBufferOptions) {
    this.#reactor = reactor;
    this.#memory = memory;
    this.#datagramBytes = sizeOption('datagramBufferBytes', options.datagramBufferBytes, WHOLE_BUFFER_BYTES);
    this.#datagramCount = countOption(
      'datagramBufferCount',
      options.datagramBufferCount,
      affordableBufferCount(memory.arena.sizeBytes, this.#datagramBytes, DATAGRAM_BUFFER_COUNT),
    );
    const isIncremental = options.incrementalReceive !== false && canBeIncremental(reactor);
    const bufferBytes = sizeOption(
      'receiveBufferBytes',
      options.receiveBufferBytes,
      isIncremental ? INCREMENTAL_BUFFER_BYTES : WHOLE_BUFFER_BYTES,
    );
    const wanted = isIncremental ? INCREMENTAL_BUFFER_COUNT : WHOLE_BUFFER_COUNT;
    const affordable = affordableBufferCount(memory.arena.sizeBytes, bufferBytes, wanted);
    const bufferCount = countOption('receiveBufferCount', options.receiveBufferCount, affordable);
    this.streams = this.#makePool(bufferBytes, bufferCount, isIncremental);
  }

  /**
   * The pool of the UDP sockets. Each datagram takes a whole buffer: of one that is nearly full the kernel would give
   * them the rest, and cut them off.
   *
   * @throws SunstarError SUNSTAR_OUT_OF_MEMORY
   */
  datagramPool(): ReceivePool {
    this.#datagrams ??= this.#makePool(this.#datagramBytes, this.#datagramCount, false);
    return this.#datagrams;
  }

  /** Throws when the books of a pool do not add up. */
  invariants(): void {
    this.streams.invariants();
    this.#datagrams?.invariants();
  }

  #makePool(bufferBytes: number, bufferCount: number, isIncremental: boolean): ReceivePool {
    const reactor = this.#reactor;
    const serveWaiters: Completion = { complete: () => pool.serveWaiters() };
    const pool = new ReceivePool(
      this.#memory,
      {
        registerBufferRing: (groupId, entryCount) => {
          const ring = reactor.ring.registerBufferRing(groupId, entryCount, isIncremental);
          if (typeof ring === 'number') throw systemError('io_uring_register', ring, 'provided buffer ring');
          return ring;
        },
        scheduleWaiters: () => reactor.defer(serveWaiters),
      },
      { groupId: reactor.allocateBufferGroup(), bufferBytes, bufferCount, isIncremental },
    );
    return pool;
  }
}

/** Kernels before 6.12 refuse the flag. */
function canBeIncremental(reactor: BufferReactor): boolean {
  const groupId = reactor.allocateBufferGroup();
  const ring = reactor.ring.registerBufferRing(groupId, 1, true);
  if (typeof ring !== 'number') reactor.ring.unregisterBufferRing(groupId);
  else if (ring !== -ERRNO.EINVAL) throw systemError('io_uring_register', ring, 'provided buffer ring');
  return typeof ring !== 'number';
}

function sizeOption(name: string, value: number | undefined, defaultValue: number): number {
  return powerOfTwo(name, value, defaultValue, MIN_RECEIVE_BUFFER_BYTES, MAX_RECEIVE_BUFFER_BYTES);
}

function countOption(name: string, value: number | undefined, defaultValue: number): number {
  return powerOfTwo(name, value, defaultValue, 8, MAX_RECEIVE_BUFFERS);
}

function powerOfTwo(
  name: string,
  value: number | undefined,
  defaultValue: number,
  min: number,
  max: number,
): number {
  const checked = integerOption(name, value, defaultValue, min, max);
  if ((checked & (checked - 1)) !== 0)
    throw invalidOption(name, value, `a power of two from ${min} to ${max}`);
  return checked;
}
