import type { MessagePort } from 'node:worker_threads';
import { SunstarError } from '../errors.js';
import type { Arena, ShardMemory } from '../memory/index.js';
import { DEFAULT_GROUP_ID } from '../scheduling/index.js';
import type { Borrower, Holder, Lender, Moved } from './codec/transfer.js';
import { dropMoved } from './codec/transfer.js';
import { otherGroup, postTo } from './in-group.js';
import type { Link } from './link.js';
import type { Mesh } from './mesh.js';
import { TO_HOLDER, TO_LENDER } from './message.js';
import type { MessageWriter } from './message-io.js';
import { notSent } from './remote-error.js';

/**
 * The peer at the other end of a link as the owner of values that are here, and as the holder of values that
 * are there: what the two tell each other about them. Returns are batched until the current callback ends.
 */
export class Peer implements Lender, Borrower {
  readonly shardId: number;
  readonly arena: Arena;
  readonly memory: ShardMemory;
  readonly #link: Link;
  readonly #writer: MessageWriter;
  /** Who wants to hear of values that are here, by token. */
  readonly #holders = new Map<number, Holder>();
  readonly #flush: () => void;
  #scheduled = false;

  /** For what only the engine can move; see transferable.ts. */
  readonly port: MessagePort | undefined;
  /** The calls of this shard. */
  readonly mesh: Mesh;

  constructor(mesh: Mesh, link: Link, arena: Arena, writer: MessageWriter, port: MessagePort | undefined) {
    this.port = port;
    this.mesh = mesh;
    this.shardId = link.peerId;
    this.arena = arena;
    this.memory = link.memory;
    this.#link = link;
    this.#writer = writer;
    this.#flush = () => {
      this.#scheduled = false;
      if (!link.stopped) link.sendReturns();
    };
  }

  /** How many values of the peer have a holder here. */
  get held(): number {
    return this.#holders.size;
  }

  /** @param hurry - Wakes the owner for it. */
  giveBack(token: number, hurry = false): void {
    this.#holders.delete(token);
    // A peer that is gone has taken everything back.
    if (this.#link.stopped) return;
    this.#link.giveBack(token);
    if (hurry) {
      this.#link.sendReturns(true);
      return;
    }
    if (this.#scheduled) return;
    this.#scheduled = true;
    queueMicrotask(this.#flush);
  }

  hold(token: number, holder: Holder): void {
    if (this.#link.stopped) holder.gone(notSent(this.#link, 'what was asked of it'));
    else this.#holders.set(token, holder);
  }

  tellLender(token: number, event: number, number: number, value?: unknown): void {
    if (!this.#link.stopped) this.#writer.postEvent(this.#link, TO_LENDER, token, event, number, value);
  }

  tellHolder(token: number, event: number, number: number, value?: unknown): void {
    const link = this.#link;
    if (link.stopped || link.loans.find(token) === undefined) return;
    this.#writer.postEvent(link, TO_HOLDER, token, event, number, value);
  }

  /** The peer tells something about a value of its own. */
  toHolder(token: number, event: number, number: number, value: unknown, moved: readonly Moved[]): void {
    const groupId = otherGroup(this.#holders.get(token)?.groupId ?? DEFAULT_GROUP_ID);
    const tell = (): void => {
      const holder = this.#holders.get(token);
      // Both sides may let go at the same time.
      if (holder === undefined) dropMoved(moved);
      else holder.told(event, number, value, moved);
    };
    if (groupId < 0) tell();
    else postTo(groupId, { complete: tell });
  }

  /** The peer tells something about a value of this shard. */
  toLender(token: number, event: number, number: number, value: unknown, moved: readonly Moved[]): void {
    const groupId = otherGroup(this.#link.loans.find(token)?.groupId ?? DEFAULT_GROUP_ID);
    const tell = (): void => {
      const parcel = this.#link.loans.find(token);
      if (parcel?.told === undefined) dropMoved(moved);
      else parcel.told(event, number, value);
    };
    if (groupId < 0) tell();
    else postTo(groupId, { complete: tell });
  }

  /** What the peer tells about a value of its own cannot be read. */
  unreadable(token: number, error: unknown): void {
    const holder = this.#holders.get(token);
    if (holder === undefined) return;
    this.#holders.delete(token);
    holder.gone(
      new SunstarError(
        'SUNSTAR_UNREADABLE_MESSAGE',
        `What shard ${this.shardId} sent could not be read here.`,
        {
          cause: error,
        },
      ),
    );
  }

  /** The peer answers no more. */
  gone(): void {
    this.port?.close();
    const holders = [...this.#holders.values()];
    this.#holders.clear();
    if (holders.length === 0) return;
    const error = notSent(this.#link, 'the rest of what it was sending');
    for (const holder of holders) {
      const groupId = otherGroup(holder.groupId ?? DEFAULT_GROUP_ID);
      // Behind what it was told before.
      if (groupId < 0) holder.gone(error);
      else postTo(groupId, { complete: () => holder.gone(error) });
    }
  }
}
