import type { ShardMemory } from '@sunstar/runtime';

const FIRST_BYTES = 512;

/**
 * What a client has sent and was not executed yet: the beginning of a command, or what came while the client had to
 * wait. One block of the arena, which grows as bytes come in (never because of what they announce) and is given back
 * when nothing is left.
 */
export class InputBuffer {
  readonly #memory: ShardMemory;
  #block = -1;
  #capacity = 0;
  #start = 0;
  #end = 0;

  constructor(memory: ShardMemory) {
    this.#memory = memory;
  }

  /** Where the bytes begin and end in the arena. */
  get start(): number {
    return this.#start;
  }

  get end(): number {
    return this.#end;
  }

  get lengthBytes(): number {
    return this.#end - this.#start;
  }

  /**
   * Appends a copy of a range of the arena.
   *
   * @throws OutOfMemoryError
   */
  append(offset: number, length: number): void {
    if (this.#end + length > this.#block + this.#capacity || this.#block < 0) this.#makeRoom(length);
    this.#memory.bytes.copyWithin(this.#end, offset, offset + length);
    this.#end += length;
  }

  /** Everything before this place was executed. */
  consumeTo(position: number): void {
    this.#start = position;
    if (this.#start === this.#end) this.dispose();
  }

  /** Gives the memory back. */
  dispose(): void {
    if (this.#block < 0) return;
    this.#memory.free(this.#block);
    this.#block = -1;
    this.#capacity = 0;
    this.#start = 0;
    this.#end = 0;
  }

  #makeRoom(length: number): void {
    const used = this.#end - this.#start;
    const { bytes } = this.#memory;
    if (this.#block >= 0 && used + length <= this.#capacity / 2) {
      bytes.copyWithin(this.#block, this.#start, this.#end);
      this.#start = this.#block;
    } else {
      const wanted = Math.max(FIRST_BYTES, 2 * (used + length));
      const block = this.#memory.allocate(wanted);
      if (used > 0) bytes.copyWithin(block, this.#start, this.#end);
      if (this.#block >= 0) this.#memory.free(this.#block);
      this.#block = block;
      this.#capacity = this.#memory.usableSize(block);
      this.#start = block;
    }
    this.#end = this.#start + used;
  }
}
