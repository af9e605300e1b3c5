import { createArena, ShardMemory } from '@sunstar/runtime';
import fc from 'fast-check';
import type { LogSource } from '../../src/log/log-reader.ts';
import {
  type FileHeader,
  FRAME_BYTES,
  HEADER_BYTES,
  type LogSink,
  OPERATION_BYTES_MAX,
  writeDelete,
  writeExpire,
  writeFlush,
  writeFrame,
  writeHeader,
  writeSeal,
  writeSet,
} from '../../src/log/record.ts';

export type Operation =
  | { readonly type: 'set'; readonly key: string; readonly value: string; readonly expireAtMs: number }
  | { readonly type: 'expire'; readonly key: string; readonly expireAtMs: number }
  | { readonly type: 'delete'; readonly key: string }
  | { readonly type: 'flush' }
  | { readonly type: 'seal'; readonly records: number };

const key = fc.string({ minLength: 0, maxLength: 12, unit: 'binary-ascii' });
const expireAtMs = fc.constantFrom(0, 1, 4_102_444_800_000);

export const operationArbitrary: fc.Arbitrary<Operation> = fc.oneof(
  {
    weight: 5,
    arbitrary: fc.record({
      type: fc.constant('set' as const),
      key,
      value: fc.string({ maxLength: 300, unit: 'binary-ascii' }),
      expireAtMs,
    }),
  },
  { weight: 2, arbitrary: fc.record({ type: fc.constant('delete' as const), key }) },
  { weight: 2, arbitrary: fc.record({ type: fc.constant('expire' as const), key, expireAtMs }) },
  { weight: 1, arbitrary: fc.record({ type: fc.constant('flush' as const) }) },
);

export const recordArbitrary: fc.Arbitrary<Operation[]> = fc.array(operationArbitrary, {
  minLength: 1,
  maxLength: 4,
});

export function testMemory(sizeBytes = 16 * 1024 * 1024): ShardMemory {
  return new ShardMemory(createArena(sizeBytes));
}

const HEADER: FileHeader = {
  kind: 1,
  shard: 0,
  shardCount: 1,
  epoch: 1,
  number: 1,
  createdAtMs: 1_700_000_000_000,
  nonce: 1,
};

/** A file as the format's description has it, and where each record ends. */
export function encodeFile(
  records: readonly (readonly Operation[])[],
  header: Partial<FileHeader> = {},
): { bytes: Buffer; ends: number[] } {
  let sizeBytes = HEADER_BYTES + records.length * FRAME_BYTES;
  for (const operation of records.flat()) {
    sizeBytes += OPERATION_BYTES_MAX + ('key' in operation ? operation.key.length : 0);
    if (operation.type === 'set') sizeBytes += operation.value.length;
  }
  const bytes = Buffer.alloc(sizeBytes);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const seed = writeHeader(bytes, 0, { ...HEADER, ...header });
  const ends = [HEADER_BYTES];
  let at = HEADER_BYTES;
  for (const record of records) {
    const start = at;
    at += FRAME_BYTES;
    for (const operation of record) at = encodeOperation(bytes, view, at, operation);
    writeFrame(bytes, view, start, at - start - FRAME_BYTES, seed);
    ends.push(at);
  }
  return { bytes: bytes.subarray(0, at), ends };
}

function encodeOperation(bytes: Buffer, view: DataView, start: number, operation: Operation): number {
  switch (operation.type) {
    case 'set': {
      const at = writeSet(view, start, operation.key.length, operation.value.length, operation.expireAtMs);
      return at + bytes.write(operation.key + operation.value, at, 'latin1');
    }
    case 'delete': {
      const at = writeDelete(view, start, operation.key.length);
      return at + bytes.write(operation.key, at, 'latin1');
    }
    case 'expire': {
      const at = writeExpire(view, start, operation.key.length, operation.expireAtMs);
      return at + bytes.write(operation.key, at, 'latin1');
    }
    case 'flush':
      return writeFlush(view, start);
    case 'seal':
      return writeSeal(view, start, operation.records);
  }
}

/** Collects what a replay delivers. */
export class CollectingSink implements LogSink {
  readonly operations: Operation[] = [];
  readonly #bytes: Buffer;

  constructor(memory: ShardMemory) {
    this.#bytes = memory.bytes;
  }

  set(keyOffset: number, keyBytes: number, valueOffset: number, valueBytes: number, at: number): void {
    this.operations.push({
      type: 'set',
      key: this.#text(keyOffset, keyBytes),
      value: this.#text(valueOffset, valueBytes),
      expireAtMs: at,
    });
  }
  delete(keyOffset: number, keyBytes: number): void {
    this.operations.push({ type: 'delete', key: this.#text(keyOffset, keyBytes) });
  }
  expire(keyOffset: number, keyBytes: number, at: number): void {
    this.operations.push({ type: 'expire', key: this.#text(keyOffset, keyBytes), expireAtMs: at });
  }
  flush(): void {
    this.operations.push({ type: 'flush' });
  }

  #text(offset: number, length: number): string {
    return this.#bytes.toString('latin1', offset, offset + length);
  }
}

/** A file in memory that is read as O_DIRECT would have it. */
export function sourceOf(memory: ShardMemory, content: Buffer): LogSource {
  return {
    sizeBytes: content.length,
    read: (position, memoryOffset, length) => {
      for (const value of [position, memoryOffset, length]) {
        if (value % 4096 !== 0) throw new RangeError(`${value} is not aligned`);
      }
      const piece = content.subarray(position, position + length);
      memory.bytes.set(piece, memoryOffset);
      return Promise.resolve(piece.length);
    },
  };
}
