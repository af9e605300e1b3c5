import { FOREIGN_SERVICE } from './foreign-objects.js';
import { freeFractionOf, latencyUsOf, queueDepthOf, utilisationOf } from './load-word.js';

/** What a shard has told of itself with its answers: never asked for, so as old as {@link ageMs}. */
export interface ShardLoad {
  /** Share of the time in which the shard had something to do, 0 to 1 in steps of 1/126; NaN when it is not known. */
  readonly utilisation: number;
  /** Smoothed time from the begin of a method of this service to its answer, within 2.2 %; NaN when not known. */
  readonly serviceLatencyUs: number;
  /** Calls of all services that run or wait there; exact up to 10, then within 4.5 %. */
  readonly queueDepth: number;
  /** Free memory of the shard's arena, in steps of 1/255 of it. */
  readonly freeMemoryBytes: number;
  /** How old this is. */
  readonly ageMs: number;
  /** What the service declares: its `fields`, as of the last answer in which one of them had changed. */
  readonly fields: Readonly<Record<string, number>>;
}

/**
 * What one peer has told with its answers, in columns with a row for each of its services. Noting an answer
 * stores two numbers; reading sends nothing.
 */
export class LoadTable {
  #words: Int32Array = new Int32Array(8);
  #heardMs: Float64Array = new Float64Array(8).fill(Number.NEGATIVE_INFINITY);
  /** By service, the values of its declared fields. */
  readonly #fields: Float64Array[] = [];

  /** An answer of a service has arrived. */
  note(serviceId: number, word: number, nowMs: number): void {
    if (serviceId >= this.#words.length) {
      if (serviceId === FOREIGN_SERVICE) return;
      this.#grow(serviceId);
    }
    this.#words[serviceId] = word;
    this.#heardMs[serviceId] = nowMs;
  }

  /** A field of a service has arrived. */
  noteField(serviceId: number, field: number, value: number): void {
    this.#fields[serviceId] ??= new Float64Array(32).fill(Number.NaN);
    this.#fields[serviceId][field] = value;
  }

  /** When the service last answered; −Infinity for never. */
  heardMs(serviceId: number): number {
    return this.#heardMs[serviceId] ?? Number.NEGATIVE_INFINITY;
  }

  /** NaN when it is not known. */
  utilisation(serviceId: number): number {
    return this.#has(serviceId) ? utilisationOf(this.#words[serviceId]) : Number.NaN;
  }

  /** NaN when it is not known. */
  latencyUs(serviceId: number): number {
    return this.#has(serviceId) ? latencyUsOf(this.#words[serviceId]) : Number.NaN;
  }

  queueDepth(serviceId: number): number {
    return this.#has(serviceId) ? queueDepthOf(this.#words[serviceId]) : 0;
  }

  freeFraction(serviceId: number): number {
    return this.#has(serviceId) ? freeFractionOf(this.#words[serviceId]) : Number.NaN;
  }

  /** NaN when it is not known. */
  field(serviceId: number, field: number): number {
    return this.#fields[serviceId]?.[field] ?? Number.NaN;
  }

  #has(serviceId: number): boolean {
    return this.heardMs(serviceId) !== Number.NEGATIVE_INFINITY;
  }

  #grow(serviceId: number): void {
    const size = 2 ** Math.ceil(Math.log2(serviceId + 1));
    const words = new Int32Array(size);
    words.set(this.#words);
    this.#words = words;
    const heardMs = new Float64Array(size).fill(Number.NEGATIVE_INFINITY);
    heardMs.set(this.#heardMs);
    this.#heardMs = heardMs;
  }
}
