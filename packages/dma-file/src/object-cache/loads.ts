import type { IOBuf } from '@sunstar/iobuf';
import { type MemoryGroup, OutOfMemoryError, type ShardMemory } from '@sunstar/runtime';
import type { ReadMemory } from '../io-options.js';
import { Flight } from './flight.js';
import type { CacheFile } from './options.js';
import { PlaceMap } from './place-map.js';
import type { CacheCounters } from './stats.js';

/** Reads an object into memory of the cache, or anywhere. The IOBuf becomes the cache's. */
export type Loader = (memory: ReadMemory) => Promise<IOBuf>;

/** What the loads need of the cache. */
export interface LoadsHost {
  readonly memory: ShardMemory;
  readonly group: MemoryGroup;
  readonly limitBytes: number;
  readonly counters: CacheCounters;
  /** Keeps a share of what was loaded, if there is room; `length` bytes were asked for. */
  keep(file: CacheFile, offset: number, content: IOBuf, length: number): void;
}

/** The loads under way: at most one of a length at a place, which all who ask for it meanwhile share. */
export class Loads {
  readonly #host: LoadsHost;
  readonly #flights = new PlaceMap<Flight>();

  constructor(host: LoadsHost) {
    this.#host = host;
  }

  /** Waits for a load under way that is long enough and still trusted; undefined when there is none. */
  join(file: CacheFile, offset: number, length: number): Promise<IOBuf> | undefined {
    const flight = this.#flights.get(file, offset);
    if (flight === undefined || !flight.isCurrent || flight.length < length) return undefined;
    return flight.join(length);
  }

  /** Begins a load; what a shorter one of the place brings is not kept. */
  begin(file: CacheFile, offset: number, length: number, loader: Loader): Promise<IOBuf> {
    const flight = new Flight(length);
    const shorter = this.#flights.get(file, offset);
    if (shorter !== undefined) shorter.isCurrent = false;
    this.#flights.set(file, offset, flight);
    const mine = flight.join(length);
    // Its outcome reaches the caller through the flight.
    void this.#land(file, offset, flight, loader);
    return mine;
  }

  /** Something newer is known about a place: nobody joins its load any more, and what it brings is not kept. */
  forget(file: CacheFile, offset: number): void {
    const flight = this.#flights.get(file, offset);
    if (flight === undefined) return;
    flight.isCurrent = false;
    this.#flights.remove(file, offset, flight);
  }

  /** What the loads of a range bring is not kept. */
  distrust(file: CacheFile, from: number, to: number): void {
    for (const flight of this.#flights.within(file, from, to)) flight.isCurrent = false;
  }

  /** What any load brings is not kept. */
  distrustAll(): void {
    for (const flight of this.#flights.all()) flight.isCurrent = false;
  }

  async #land(file: CacheFile, offset: number, flight: Flight, loader: Loader): Promise<void> {
    try {
      using content = await this.#loadInto(flight.length, loader);
      // The place is free again before anybody continues.
      this.#flights.remove(file, offset, flight);
      if (flight.isCurrent) this.#host.keep(file, offset, content, flight.length);
      flight.land(content);
    } catch (error) {
      this.#flights.remove(file, offset, flight);
      this.#host.counters.loadErrors++;
      flight.crash(error);
    }
  }

  /** In the cache's own memory; when that is all in use outside of the cache, in the shard's. */
  async #loadInto(length: number, loader: Loader): Promise<IOBuf> {
    const { memory, group, limitBytes, counters } = this.#host;
    if (length > limitBytes) {
      counters.bypassed++;
      return loader(memory);
    }
    try {
      return await loader(group);
    } catch (error) {
      if (!(error instanceof OutOfMemoryError)) throw error;
      counters.bypassed++;
      return loader(memory);
    }
  }
}
