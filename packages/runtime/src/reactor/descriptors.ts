import { SunstarError } from '../errors.js';

/**
 * The descriptors that a thread owns. Native code closes them when the thread ends in any way,
 * `worker.terminate()` included, after the kernel has finished with every operation. Results of
 * accept and open operations are owned as soon as they are reaped.
 */
export class Descriptors {
  readonly #bits: Uint8Array;

  constructor(bits: Uint8Array) {
    this.#bits = bits;
  }

  /**
   * Has the descriptor closed with this thread.
   *
   * @throws SunstarError `SUNSTAR_TOO_MANY_DESCRIPTORS` beyond the process's hard limit.
   */
  own(fd: number): void {
    if (fd >>> 3 >= this.#bits.length) {
      throw new SunstarError(
        'SUNSTAR_TOO_MANY_DESCRIPTORS',
        `Descriptor ${fd} is beyond the limit of ${this.#bits.length * 8} that held when this shard started. ` +
          'Raise `ulimit -Hn` before the start.',
      );
    }
    this.#bits[fd >>> 3] |= 1 << (fd & 7);
  }

  /** Somebody else closes the descriptor from now on. */
  disown(fd: number): void {
    this.#bits[fd >>> 3] &= ~(1 << (fd & 7));
  }

  /** Whether the descriptor is closed with this thread. */
  owns(fd: number): boolean {
    return (this.#bits[fd >>> 3] & (1 << (fd & 7))) !== 0;
  }
}
