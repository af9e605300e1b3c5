import type { Arena, ShardMemory } from '../memory/index.js';
import { dropMoved, type Lender, type Moved } from '../smp/codec/transfer.js';
import { cannotFollow } from './wire.js';

/**
 * A shard as the lender of the arguments of one call in the pool. They are the call's: when it ends, what the function
 * did not let go of is let go. What then is still held (a part that the function put aside) stays lent, until that is
 * let go too.
 */
export class ArgumentLender implements Lender {
  readonly shardId: number;
  readonly arena: Arena;
  readonly memory: ShardMemory;
  #moved: readonly Moved[] = [];
  readonly #tokens = new Set<number>();
  /** An empty value is let go before it has arrived. */
  readonly #returned = new Set<number>();
  readonly #returnLate: (tokens: readonly number[]) => void;
  #ended = false;

  constructor(
    shardId: number,
    arena: Arena,
    memory: ShardMemory,
    returnLate: (tokens: readonly number[]) => void,
  ) {
    this.shardId = shardId;
    this.arena = arena;
    this.memory = memory;
    this.#returnLate = returnLate;
  }

  /** The arguments were read. */
  arrived(moved: readonly Moved[]): void {
    this.#moved = moved;
    for (const { token } of moved) if (!this.#returned.has(token)) this.#tokens.add(token);
  }

  hold(): void {
    cannotFollow();
  }

  tellLender(): void {
    cannotFollow();
  }

  giveBack(token: number): void {
    this.#tokens.delete(token);
    this.#returned.add(token);
    if (this.#ended) this.#returnLate([token]);
  }

  /** The call is over. @returns The tokens that are still held. */
  endCall(): number[] {
    dropMoved(this.#moved);
    this.#moved = [];
    this.#ended = true;
    return [...this.#tokens];
  }
}
