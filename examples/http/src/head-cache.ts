import type { Fields } from './http-response.js';

/**
 * The last response head that this thread wrote. Servers give the same one again and again, at least for the second
 * that its date lasts: comparing its parts costs less than putting them together, and the bytes are ready.
 */
export class HeadCache {
  #status = 0;
  /** What else decides: see {@link matches}. */
  #variant = 0;
  #lengthBytes: number | undefined;
  #date = '';
  readonly #names: string[] = [];
  readonly #values: (string | number)[] = [];
  #text = '';
  #bytes: Buffer | null = null;

  /**
   * Whether a head is the one that was kept.
   *
   * @param variant - Any number that stands for the rest of what the head depends on.
   * @param lengthBytes - What is said of the body.
   * @param date - The Date field.
   */
  matches(
    status: number,
    fields: Fields,
    variant: number,
    lengthBytes: number | undefined,
    date: string,
  ): boolean {
    if (status !== this.#status || variant !== this.#variant) return false;
    if (lengthBytes !== this.#lengthBytes || date !== this.#date) return false;
    let count = 0;
    for (const name in fields) {
      if (this.#names[count] !== name || this.#values[count] !== fields[name]) return false;
      count++;
    }
    return count === this.#names.length;
  }

  /** The head that was kept, as bytes. */
  get bytes(): Buffer {
    this.#bytes ??= Buffer.from(this.#text, 'latin1');
    return this.#bytes;
  }

  /** Keeps a head, which was checked. The parameters are those of {@link matches}. */
  keep(
    status: number,
    fields: Fields,
    variant: number,
    lengthBytes: number | undefined,
    date: string,
    text: string,
  ): void {
    this.#status = status;
    this.#variant = variant;
    this.#lengthBytes = lengthBytes;
    this.#date = date;
    let count = 0;
    for (const name in fields) {
      this.#names[count] = name;
      this.#values[count++] = fields[name];
    }
    this.#names.length = count;
    this.#values.length = count;
    this.#text = text;
    this.#bytes = null;
  }
}
