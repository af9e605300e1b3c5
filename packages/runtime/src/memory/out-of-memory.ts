import { writeSync } from 'node:fs';
import { OutOfMemoryError } from '../errors.js';
import type { Account } from './account.js';

const GRANULE_BYTES = 8;

/** A report takes a while to make: at most one in this time. */
const REPORT_INTERVAL_MS = 1000;

/** An allocation that found no memory. */
export interface Shortage {
  readonly sizeBytes: number;
  readonly freeBytes: number;
  readonly maxBlockBytes: number;
  /** The part of `freeBytes` that groups have reserved. */
  readonly reservedBytes: number;
  readonly account: Account;
  readonly report: string | undefined;
}

/** The error that says which limit was met, and what to do about it. */
export function outOfMemory(shortage: Shortage): OutOfMemoryError {
  const { sizeBytes, freeBytes, report } = shortage;
  return new OutOfMemoryError(sizeBytes, freeBytes, messageOf(shortage), report);
}

function messageOf({
  sizeBytes,
  freeBytes,
  maxBlockBytes,
  reservedBytes,
  account,
}: Shortage): string | undefined {
  const limitBytes = account.limitGranules * GRANULE_BYTES;
  const usedBytes = account.usedGranules * GRANULE_BYTES;
  if (sizeBytes > maxBlockBytes) {
    return (
      `The shard's arena has no block of ${sizeBytes} bytes, ever: the largest has ${maxBlockBytes}. ` +
      'Use several blocks or an iobuf, or start the runtime with more `memory`.'
    );
  }
  if (account.isGroup && usedBytes + sizeBytes > limitBytes) {
    return (
      `The memory group '${account.name}' has no ${sizeBytes} bytes left: ${usedBytes} of its ${limitBytes} bytes are used. ` +
      'Release some, register a reclaimer for the group, or raise its limit with configure().'
    );
  }
  if (reservedBytes === 0) return undefined;
  return (
    `The shard's arena has no block of ${sizeBytes} bytes (${freeBytes} bytes are free in all, ${reservedBytes} of them ` +
    'reserved for memory groups). Release buffers sooner, reserve less, or start the runtime with more `memory`.'
  );
}

/** Makes reports of shortages, not too often. */
export class OutOfMemoryReports {
  readonly #make: () => string;
  #nextAtMs = 0;

  constructor(make: () => string) {
    this.#make = make;
  }

  /** A report, undefined when the last one was just now. */
  next(): string | undefined {
    const nowMs = performance.now();
    if (nowMs < this.#nextAtMs) return undefined;
    this.#nextAtMs = nowMs + REPORT_INTERVAL_MS;
    return this.#make();
  }

  /** Ends the process. */
  abort(error: OutOfMemoryError): never {
    // Synchronous, to the descriptor: nothing runs any more after this.
    writeSync(2, `${error.name} [${error.code}]: ${error.message}\n${this.#make()}\n`);
    process.abort();
  }
}
