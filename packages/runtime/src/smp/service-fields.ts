import { SunstarError } from '../errors.js';
import type { Decoder } from './codec/decoder.js';
import type { Encoder } from './codec/encoder.js';
import type { LoadTable } from './load-table.js';

/** The largest number of fields that a service may declare. */
export const MAX_FIELDS = 31;

/*
 *   fields = mask:INT32 FLOAT64 …
 *
 * After the result of a call, when a field has changed since this peer was last told: which ones, and their
 * values in the order of their declaration.
 */

/** The numbers that a service tells with its answers: properties or getters of its instance. */
export class ServiceFields {
  readonly names: readonly string[];
  readonly #instance: Record<string, unknown>;
  /** By peer, what it was told last. */
  readonly #told: Float64Array[] = [];
  readonly #now: Float64Array;

  /** @throws SunstarError `SUNSTAR_INVALID_SERVICE` */
  constructor(service: string, instance: object, names: readonly string[]) {
    this.names = names;
    this.#instance = instance as Record<string, unknown>;
    this.#now = new Float64Array(names.length);
    if (names.length > MAX_FIELDS || new Set(names).size !== names.length) {
      throw new SunstarError(
        'SUNSTAR_INVALID_SERVICE',
        `Service '${service}' declares more than ${MAX_FIELDS} fields, or one of them twice.`,
      );
    }
    for (const name of names) {
      if (typeof this.#instance[name] === 'number') continue;
      throw new SunstarError(
        'SUNSTAR_INVALID_SERVICE',
        `Service '${service}' declares the field ${name}, which is no number but ${typeof this.#instance[name]}. ` +
          'Declare properties or getters that are public and numbers from the beginning.',
      );
    }
  }

  /** The value of a field now. */
  value(field: number): number {
    return Number(this.#instance[this.names[field]]);
  }

  /** Writes what has changed since the peer was told. @returns Whether that was anything. */
  write(encoder: Encoder, peerId: number): boolean {
    const told = this.#told[peerId] as Float64Array | undefined;
    let mask = 0;
    for (let field = 0; field < this.names.length; field++) {
      const value = this.value(field);
      this.#now[field] = value;
      if (told === undefined || !Object.is(value, told[field])) mask |= 1 << field;
    }
    if (mask === 0) return false;
    encoder.write(mask, 'fields');
    for (let field = 0; field < this.names.length; field++) {
      if ((mask & (1 << field)) !== 0) encoder.write(this.#now[field], 'fields');
    }
    return true;
  }

  /** The peer was started again, and knows nothing. */
  forget(peerId: number): void {
    delete this.#told[peerId];
  }

  /** What was written last has been sent. */
  sent(peerId: number): void {
    this.#told[peerId] ??= new Float64Array(this.names.length);
    this.#told[peerId].set(this.#now);
  }
}

/** Reads what {@link ServiceFields.write} wrote. */
export function readFields(decoder: Decoder, table: LoadTable, serviceId: number): void {
  const mask = decoder.value() as number;
  for (let field = 0; field < MAX_FIELDS; field++) {
    if ((mask & (1 << field)) !== 0) table.noteField(serviceId, field, decoder.value() as number);
  }
}
