import type { CacheFile } from './options.js';

/** Something for places in files; files without any are forgotten. */
export class PlaceMap<T> {
  readonly #files = new Map<CacheFile, Map<number, T>>();
  #size = 0;

  get size(): number {
    return this.#size;
  }

  get(file: CacheFile, offset: number): T | undefined {
    return this.#files.get(file)?.get(offset);
  }

  set(file: CacheFile, offset: number, value: T): void {
    let places = this.#files.get(file);
    if (places === undefined) {
      places = new Map();
      this.#files.set(file, places);
    }
    if (!places.has(offset)) this.#size++;
    places.set(offset, value);
  }

  /** Removes a value, if it is still the one at its place. */
  remove(file: CacheFile, offset: number, value: T): void {
    const places = this.#files.get(file);
    if (places === undefined || places.get(offset) !== value) return;
    places.delete(offset);
    this.#size--;
    if (places.size === 0) this.#files.delete(file);
  }

  /** The values of a file whose offsets are in a range, as they are now. */
  within(file: CacheFile, from: number, to: number): T[] {
    const found: T[] = [];
    for (const [offset, value] of this.#files.get(file) ?? []) {
      if (offset >= from && offset < to) found.push(value);
    }
    return found;
  }

  /** All files, as they are now. */
  files(): CacheFile[] {
    return [...this.#files.keys()];
  }

  /** All values, as they are now. */
  all(): T[] {
    return [...this.#files.values()].flatMap((places) => [...places.values()]);
  }
}
