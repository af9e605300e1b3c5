import { SunstarError } from '../errors.js';
import type { Arena, ShardMemory } from '../memory/index.js';
import { Decoder } from '../smp/codec/decoder.js';
import { Encoder } from '../smp/codec/encoder.js';
import type { MessageLimits } from '../smp/codec/limits.js';
import {
  type Borrower,
  dropMoved,
  type Lender,
  type Loan,
  Loans,
  type Moved,
} from '../smp/codec/transfer.js';
import { CALL, FAR, offsetOf, PAYLOAD_BYTES_AT } from '../smp/message.js';

/*
 * Arguments and results between a shard and a thread of the pool travel like those between shards (see docs/smp.md):
 * written once into the memory of the side that sends them, and read there by the other.
 */

/** A message that was written. */
export interface Written {
  /** What describes it, 64 bytes. */
  readonly image: Int32Array;
  /** The block of memory that has its values, −1 when the image has them; its sender frees it. */
  readonly block: number;
}

/** Between a shard and the pool nothing is told about values that moved. */
const nobody: Borrower = { shardId: -1, tellHolder() {} };

/**
 * Writes values.
 *
 * @param loans - Takes the values that move; they are released when nobody reads them any more.
 * @throws SunstarError SUNSTAR_NOT_CLONEABLE, SUNSTAR_MESSAGE_TOO_LARGE, SUNSTAR_MESSAGE_TOO_DEEP, OutOfMemoryError
 */
export function writeValues(
  memory: ShardMemory,
  limits: MessageLimits,
  values: readonly unknown[],
  role: string,
  loans: MessageLoans,
): Written {
  const encoder = encoderFor(memory, limits);
  encoder.begin();
  for (const [index, value] of values.entries()) encoder.write(value, role, values.length === 1 ? -1 : index);
  encoder.end(CALL, values.length, 0, 0);
  encoder.handOver(loans, nobody);
  return { image: encoder.image.slice(), block: encoder.block };
}

/** The encoder that was used last, and what it is for. */
let last:
  | { readonly memory: ShardMemory; readonly limits: MessageLimits; readonly encoder: Encoder }
  | undefined;

function encoderFor(memory: ShardMemory, limits: MessageLimits): Encoder {
  // Busy: a getter of a value that is being written offloads something itself.
  if (last?.memory === memory && last.limits === limits && !last.encoder.busy) return last.encoder;
  last = { memory, limits, encoder: new Encoder(memory, limits) };
  return last.encoder;
}

/** Reading runs no code that could read again. */
const decoder = new Decoder();

/** The values that moved with one message. */
export class MessageLoans extends Loans {
  readonly #tokens = new Set<number>();

  override lend(loans: readonly Loan[], borrower: Borrower): void {
    for (const { token } of loans) this.#tokens.add(token);
    super.lend(loans, borrower);
  }

  /** Those of these values that are still away come home. */
  takeBackOf(tokens: Iterable<number>): void {
    for (const token of tokens) if (this.#tokens.delete(token)) this.takeBack(token);
  }

  /** All but these come home. */
  takeBackExcept(tokens: readonly number[]): void {
    this.takeBackOf([...this.#tokens].filter((token) => !tokens.includes(token)));
  }
}

/** Whether the values of a message are in a block of the sender's memory. */
export function isFar(image: Int32Array): boolean {
  return (image[0] & FAR) !== 0;
}

/** What was read: values, and those in them that moved. */
export interface Read {
  readonly values: readonly unknown[];
  readonly moved: readonly Moved[];
}

/** Reads values; they are copies, except those that moved. */
export function readValues(image: Int32Array, count: number, arena: Arena, lender: Lender): Read {
  decoder.lender = lender;
  if (isFar(image)) decoder.begin(arena.bytes, arena.view, offsetOf(image[3]));
  else {
    const { buffer, byteOffset, byteLength } = image;
    const bytes = Buffer.from(buffer as ArrayBuffer, byteOffset, byteLength);
    decoder.begin(bytes, new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength), PAYLOAD_BYTES_AT);
  }
  const values: unknown[] = [];
  try {
    for (let index = 0; index < count; index++) values.push(decoder.value());
    return { values, moved: decoder.takeMoved() ?? [] };
  } catch (error) {
    dropMoved(decoder.takeMoved() ?? []);
    throw error;
  } finally {
    decoder.end();
  }
}

/** A value such as a stream or a signal, which needs to hear of the other side. */
export function cannotFollow(): never {
  throw new SunstarError(
    'SUNSTAR_NOT_CLONEABLE',
    'Streams, signals and references to objects of a shard do not work across the offload pool. Pass plain data or ' +
      'IOBufs, and give the signal as an option of the call.',
  );
}
