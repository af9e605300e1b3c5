import { IORING_OP } from '../reactor/constants.js';
import type { OperationObserver } from '../reactor/options.js';
import { currentGroupId, DEFAULT_GROUP_ID } from '../scheduling/current-group.js';
import { threadGroups } from '../scheduling/thread-scheduler.js';
import type { LatencyRecorder } from './latency-recorder.js';
import type { Metrics } from './metrics.js';

/** The slot of an operation's id; see OperationTable. */
const SLOT_MASK = (1 << 17) - 1;
const INITIAL_SLOTS = 1024;

/** Kinds whose time says something of a device or the network; others wait for a peer's message or a timer. */
const FILE_KINDS: Readonly<Record<string, readonly number[]>> = {
  read: [IORING_OP.READ, IORING_OP.READV, IORING_OP.READ_FIXED],
  write: [IORING_OP.WRITE, IORING_OP.WRITEV, IORING_OP.WRITE_FIXED],
  fsync: [IORING_OP.FSYNC],
  fallocate: [IORING_OP.FALLOCATE],
  open: [IORING_OP.OPENAT, IORING_OP.OPENAT2],
  close: [IORING_OP.CLOSE],
  stat: [IORING_OP.STATX],
};
const SOCKET_KINDS: Readonly<Record<string, readonly number[]>> = {
  connect: [IORING_OP.CONNECT],
  send: [IORING_OP.SEND, IORING_OP.SENDMSG, IORING_OP.SEND_ZC, IORING_OP.SENDMSG_ZC],
};

/** An operation of a file or socket that took too long. */
export interface SlowOperation {
  /** Of files: `read`, `write`, `fsync`, `fallocate`, `open`, `close`, `stat`; of sockets: `connect`, `send`. */
  readonly operation: string;
  readonly on: 'file' | 'socket';
  /** The scheduling group that asked for it. */
  readonly group: string;
  readonly latencyMs: number;
}

/** From when on operations are slow, in milliseconds; Infinity for never. */
export interface SlowThresholds {
  readonly fileMs: number;
  readonly socketMs: number;
}

/** One kind of operation. */
class Kind {
  readonly name: string;
  readonly on: 'file' | 'socket';
  readonly slowMs: number;
  /** By scheduling group. */
  readonly recorders: (LatencyRecorder | undefined)[] = [];

  constructor(name: string, on: 'file' | 'socket', slowMs: number) {
    this.name = name;
    this.on = on;
    this.slowMs = slowMs;
  }
}

/**
 * How long the kernel took for each operation of a reactor, by kind and scheduling group. The times are those of the
 * ticks in which an operation was queued and reaped, so measuring costs no look at the clock.
 */
export class OperationLatencies implements OperationObserver {
  readonly #metrics: Metrics;
  readonly #onSlow: (slow: SlowOperation) => void;
  /** By opcode; undefined for what is not measured. */
  readonly #kinds: (Kind | undefined)[] = new Array<undefined>(256).fill(undefined);
  #startedMs: Float64Array = new Float64Array(INITIAL_SLOTS);
  #opcodes: Uint8Array = new Uint8Array(INITIAL_SLOTS);
  #groups: Uint8Array = new Uint8Array(INITIAL_SLOTS);

  /** @param onSlow - Told of operations that took as long as the thresholds say, or longer. */
  constructor(metrics: Metrics, slow: SlowThresholds, onSlow: (slow: SlowOperation) => void) {
    this.#metrics = metrics;
    this.#onSlow = onSlow;
    this.#add(FILE_KINDS, 'file', slow.fileMs);
    this.#add(SOCKET_KINDS, 'socket', slow.socketMs);
  }

  submitted(operationId: number, opcode: number, nowMs: number): void {
    const slot = operationId & SLOT_MASK;
    if (slot >= this.#opcodes.length) this.#grow(slot);
    this.#opcodes[slot] = opcode;
    this.#groups[slot] = currentGroupId();
    this.#startedMs[slot] = nowMs;
  }

  completed(operationId: number, nowMs: number): void {
    const slot = operationId & SLOT_MASK;
    const kind = this.#kinds[this.#opcodes[slot]];
    if (kind === undefined) return;
    const groupId = this.#groups[slot];
    const latencyMs = nowMs - this.#startedMs[slot];
    (kind.recorders[groupId] ?? this.#makeRecorder(kind, groupId)).record(latencyMs);
    if (latencyMs >= kind.slowMs) this.#slow(kind, groupId, latencyMs);
  }

  #add(kinds: Readonly<Record<string, readonly number[]>>, on: Kind['on'], slowMs: number): void {
    for (const [name, opcodes] of Object.entries(kinds)) {
      const kind = new Kind(name, on, slowMs);
      for (const opcode of opcodes) this.#kinds[opcode] = kind;
      this.#makeRecorder(kind, DEFAULT_GROUP_ID);
    }
  }

  #makeRecorder(kind: Kind, groupId: number): LatencyRecorder {
    if (groupId !== DEFAULT_GROUP_ID && this.#metrics.isFull) return this.#recorderOfDefault(kind, groupId);
    const recorder = this.#metrics.latency({
      name: 'sunstar_reactor_operation_seconds',
      help: 'Time from the queueing of an operation to its completion, by kind and scheduling group.',
      labels: { operation: kind.name, group: nameOf(groupId) },
    });
    kind.recorders[groupId] = recorder;
    return recorder;
  }

  /** There is no room for one more metric: it counts for the default group. */
  #recorderOfDefault(kind: Kind, groupId: number): LatencyRecorder {
    const recorder = kind.recorders[DEFAULT_GROUP_ID] as LatencyRecorder;
    kind.recorders[groupId] = recorder;
    return recorder;
  }

  #slow({ name, on }: Kind, groupId: number, latencyMs: number): void {
    this.#onSlow({ operation: name, on, group: nameOf(groupId), latencyMs });
  }

  #grow(slot: number): void {
    let slots = this.#opcodes.length;
    while (slots <= slot) slots *= 2;
    this.#startedMs = grown(this.#startedMs, new Float64Array(slots));
    this.#opcodes = grown(this.#opcodes, new Uint8Array(slots));
    this.#groups = grown(this.#groups, new Uint8Array(slots));
  }
}

function nameOf(groupId: number): string {
  return (threadGroups.byId(groupId) ?? threadGroups.default).name;
}

function grown<T extends Float64Array | Uint8Array>(before: T, after: T): T {
  after.set(before);
  return after;
}
