/** Up to this many bytes a loop copies faster than a call of native code. */
export const SHORT_COPY = 48;

const fromCodes = String.fromCharCode;

/** Reads up to 255 latin1 bytes. The shortest ones without a call into native code, which costs more. */
export function shortText(bytes: Buffer, at: number, length: number): string {
  if (length > 12) return bytes.toString('latin1', at, at + length);
  if (length > 8) return shortText(bytes, at, 8) + shortText(bytes, at + 8, length - 8);
  switch (length) {
    case 0:
      return '';
    case 1:
      return fromCodes(bytes[at]);
    case 2:
      return fromCodes(bytes[at], bytes[at + 1]);
    case 3:
      return fromCodes(bytes[at], bytes[at + 1], bytes[at + 2]);
    case 4:
      return fromCodes(bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]);
    case 8:
      return fromCodes(
        bytes[at],
        bytes[at + 1],
        bytes[at + 2],
        bytes[at + 3],
        bytes[at + 4],
        bytes[at + 5],
        bytes[at + 6],
        bytes[at + 7],
      );
    default:
      return shortText(bytes, at, 4) + shortText(bytes, at + 4, length - 4);
  }
}

const CACHE_SIZE = 256;

/**
 * Property names that were seen before, so that decoding an object makes no new strings: a direct-mapped
 * table of 256 names.
 */
export class KeyCache {
  readonly #names: string[] = new Array<string>(CACHE_SIZE).fill('');

  /** Reads up to 255 latin1 bytes. */
  text(bytes: Buffer, at: number, length: number): string {
    let hash = length;
    for (let index = 0; index < length; index++) hash = (Math.imul(hash, 31) + bytes[at + index]) | 0;
    const place = (hash ^ (hash >>> 16)) & (CACHE_SIZE - 1);
    const known = this.#names[place];
    if (known.length === length) {
      let index = 0;
      while (index < length && known.charCodeAt(index) === bytes[at + index]) index++;
      if (index === length) return known;
    }
    const name = shortText(bytes, at, length);
    this.#names[place] = name;
    return name;
  }
}
