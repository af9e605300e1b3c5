import { SunstarError } from '../errors.js';
import { type Lender, type Parcel, registerTransfer } from '../smp/codec/transfer.js';
import type { ShardMemory } from './shard-memory.js';

/** Where a block came from that belongs to another shard; made by the calls between shards. */
export interface BlockOrigin {
  /** The shard that it belongs to. */
  readonly lender: Lender;
  /** Its name for the loan. */
  readonly token: number;
  /** The bytes that the block has. */
  readonly sizeBytes: number;
}

/**
 * A block of a shard's memory that may go to another shard, as an argument or a result of a call: the bytes stay
 * where they are, the receiver reads them there, and frees the block when it is done. It comes home by message,
 * together with others. When the receiver ends without having freed it, it comes home too.
 *
 * The object has one holder at a time: whoever has sent it can do nothing more with it. The receiver may read
 * and write the bytes; only the owner shard can send the block.
 */
export class LentBlock {
  /** Where the block is in {@link bytes}. */
  readonly offset: number;
  /** The bytes that the block has. */
  readonly sizeBytes: number;
  readonly #memory: ShardMemory;
  readonly #origin: BlockOrigin | undefined;
  #end: 'freed' | 'moved' | undefined;

  /**
   * @param memory - The memory of this shard.
   * @param offset - A live block of it, which this object owns from now on.
   * @param origin - For blocks that arrive; internal.
   * @throws SunstarError SUNSTAR_INVALID_OFFSET
   */
  constructor(memory: ShardMemory, offset: number, origin?: BlockOrigin) {
    this.#memory = memory;
    this.#origin = origin;
    this.offset = offset;
    this.sizeBytes = origin?.sizeBytes ?? memory.usableSize(offset);
  }

  /** Whether the block belongs to this shard. */
  get isLocal(): boolean {
    return this.#origin === undefined;
  }

  /** The arena that the block is in: index it with `offset`. @throws SunstarError SUNSTAR_BLOCK_SPENT */
  get bytes(): Buffer {
    this.#check();
    return (this.#origin?.lender.arena ?? this.#memory.arena).bytes;
  }

  /** Gives the block back to its owner. @throws SunstarError SUNSTAR_BLOCK_SPENT */
  free(): void {
    this.#check();
    if (this.#origin === undefined) {
      this.#memory.free(this.offset);
    } else {
      this.#memory.noteForeignFree();
      this.#origin.lender.giveBack(this.#origin.token);
    }
    this.#end = 'freed';
  }

  /** As {@link free}; does nothing when the block is spent. */
  [Symbol.dispose](): void {
    if (this.#end === undefined) this.free();
  }

  /** What travels. @internal */
  pack(): Parcel {
    this.#check();
    if (this.#origin !== undefined) {
      throw new SunstarError(
        'SUNSTAR_BLOCK_FOREIGN',
        `This block belongs to shard ${this.#origin.lender.shardId}, and only that can send it. Copy it, or free it and have it sent from there.`,
      );
    }
    const memory = this.#memory;
    const { offset, sizeBytes } = this;
    memory.lend(offset);
    return {
      numbers: [offset, sizeBytes],
      sent: () => {
        this.#end = 'moved';
      },
      release: () => memory.takeBack(offset, this.#end === 'moved'),
    };
  }

  #check(): void {
    if (this.#end === undefined) return;
    throw new SunstarError(
      'SUNSTAR_BLOCK_SPENT',
      `This block was ${this.#end === 'freed' ? 'freed' : 'sent to another shard'} and can no longer be used here.`,
    );
  }
}

registerTransfer<LentBlock>({
  name: 'LentBlock',
  valueClass: LentBlock,
  pack: (block) => block.pack(),
  receive: ([offset, sizeBytes], token, lender) =>
    new LentBlock(lender.memory, offset, { lender, token, sizeBytes }),
});
