import type { Block } from './block.js';
import type { Chain } from './chain.js';
import type { ContentView } from './content-view.js';
import { checkInteger, disposedError, invalidArgumentError, outOfRangeError } from './errors.js';
import { NumberSetter } from './number-setter.js';

/**
 * Bytes of an IOBuf that are written later, for example the length or the checksum in front of a message
 * that is still growing. Made by `IOBuf.placeholder(sizeBytes)`; the bytes are zero and count in the size
 * from the start. After Redpanda's `iobuf::placeholder`.
 *
 * - Positions are relative to the placeholder; what would cross its end throws `SUNSTAR_OUT_OF_RANGE`.
 * - Appending and trimming around it do not disturb it. Bytes of it that were trimmed away are gone:
 *   writing them has no effect.
 * - Shares and links made before the write see the same memory, so they see the write.
 * - It owns nothing: fill it before its buffer is disposed; afterwards it throws `SUNSTAR_IOBUF_DISPOSED`.
 */
export class Placeholder extends NumberSetter {
  /** How many bytes it has. */
  override readonly sizeBytes: number;
  readonly #buffer: ContentView;
  readonly #chain: Chain;
  readonly #block: Block;
  readonly #blockEpoch: number;
  readonly #offset: number;

  /** @internal Made by `IOBuf.placeholder`. */
  constructor(buffer: ContentView, chain: Chain, block: Block, offset: number, sizeBytes: number) {
    super();
    this.sizeBytes = sizeBytes;
    this.#buffer = buffer;
    this.#chain = chain;
    this.#block = block;
    this.#blockEpoch = block.epoch;
    this.#offset = offset;
  }

  /** Writes bytes, or a string as UTF-8, at `at` (default 0). */
  write(data: Uint8Array | string, at = 0): void {
    const bytes = typeof data === 'string' ? Buffer.from(data) : data;
    if (!(bytes instanceof Uint8Array)) throw invalidArgumentError('data', 'a Uint8Array or a string', data);
    const to = this.place(at, bytes.length);
    if (to >= 0) this.#chain.bytes.set(bytes, to);
  }

  protected override arenaView(): DataView {
    return this.#chain.view;
  }

  protected override arenaBytes(): Buffer {
    return this.#chain.bytes;
  }

  /** The arena offset to write at, or −1 when the bytes were trimmed away together with their block. */
  protected override place(at: number, sizeBytes: number): number {
    if (this.#buffer.isDisposed) throw disposedError(this.#buffer);
    checkInteger('at', at, 0, this.sizeBytes);
    if (at + sizeBytes > this.sizeBytes) {
      throw outOfRangeError('the size of what is written', sizeBytes, 0, this.sizeBytes - at);
    }
    return this.#block.epoch === this.#blockEpoch ? this.#offset + at : -1;
  }
}
