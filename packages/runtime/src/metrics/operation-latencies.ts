import { IORING_OP } from '../reactor/constants.js';
import type { OperationObserver } from '../reactor/options.js';
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

/** An operation of a file that took too long. */
export interface SlowOperation {
  /** `read`, `write`, `fsync`, `fallocate`, `open`, `close`, `stat`; or the name of a recorder of your own. */
  readonly operation: string;
  readonly latencyMs: number;
}

/**
 * How long the kernel took for each operation of a reactor, by kind. The times are those of the ticks in which an
 * operation was queued and reaped, so measuring costs no look at the clock.
 */
export class OperationLatencies implements OperationObserver {
  /** By opcode; undefined for what is not measured. */
  readonly #recorders: (LatencyRecorder | undefined)[] = new Array<undefined>(256).fill(undefined);
  #startedMs: Float64Array = new Float64Array(INITIAL_SLOTS);
  #opcodes: Uint8Array = new Uint8Array(INITIAL_SLOTS);

  /** @param onSlow - Told of operations on files that took `slowMs` or longer. */
  constructor(metrics: Metrics, slowMs: number, onSlow: (slow: SlowOperation) => void) {
    const add = (kinds: Readonly<Record<string, readonly number[]>>, thresholdMs: number): void => {
      for (const [operation, opcodes] of Object.entries(kinds)) {
        const recorder = metrics.latency({
          name: 'sunstar_reactor_operation_seconds',
          help: 'Time from the queueing of an operation to its completion, by kind.',
          labels: { operation },
          slowMs: thresholdMs,
          onSlow: (latencyMs) => onSlow({ operation, latencyMs }),
        });
        for (const opcode of opcodes) this.#recorders[opcode] = recorder;
      }
    };
    add(FILE_KINDS, slowMs);
    // A slow peer makes these slow: nothing to complain of.
    add(SOCKET_KINDS, Number.POSITIVE_INFINITY);
  }

  submitted(operationId: number, opcode: number, nowMs: number): void {
    const slot = operationId & SLOT_MASK;
    if (slot >= this.#opcodes.length) this.#grow(slot);
    this.#opcodes[slot] = opcode;
    this.#startedMs[slot] = nowMs;
  }

  completed(operationId: number, nowMs: number): void {
    const slot = operationId & SLOT_MASK;
    const recorder = this.#recorders[this.#opcodes[slot]];
    if (recorder !== undefined) recorder.record(nowMs - this.#startedMs[slot]);
  }

  #grow(slot: number): void {
    let slots = this.#opcodes.length;
    while (slots <= slot) slots *= 2;
    const startedMs = new Float64Array(slots);
    startedMs.set(this.#startedMs);
    this.#startedMs = startedMs;
    const opcodes = new Uint8Array(slots);
    opcodes.set(this.#opcodes);
    this.#opcodes = opcodes;
  }
}
