import { SunstarError } from '../../errors.js';
import type { Arena, ShardMemory } from '../../memory/index.js';

/** What a message holds of a value that moves, until the receiver has let go of it. */
export interface Parcel {
  /** Describes the value to {@link TransferType.receive}. */
  readonly numbers: readonly number[];
  /** The message is on its way: the value is its former owner's no more. Must not throw. */
  sent(): void;
  /** Nobody reads the memory any more: the message was not sent, or the receiver has let go, or is gone. Must not throw. */
  release(): void;
}

/** The sending shard, as the receiver of a {@link Parcel} sees it. */
export interface Lender {
  readonly shardId: number;
  /** Its memory, to be read only. It stays readable when the shard ends. */
  readonly arena: Arena;
  /** The memory of the receiving shard. */
  readonly memory: ShardMemory;
  /** Tells the sender that the receiver has let go: once for each {@link TransferType.receive}. */
  giveBack(token: number): void;
}

/**
 * A class whose instances move to another shard when they are an argument or a result of a call: what they
 * refer to stays where it is, the receiver gets an instance that reads it there, and the sender's one is spent.
 * Every shard registers the same types.
 */
export interface TransferType<T extends object> {
  /** The same on every shard, and different from other types' names. */
  readonly name: string;
  readonly valueClass: abstract new (...args: never[]) => T;
  /** Pins what the value refers to; the value stays usable until {@link Parcel.sent}. */
  pack(value: T): Parcel;
  /** Makes an instance of what arrived. It calls `lender.giveBack(token)` when it lets go, also if that is at once. */
  receive(numbers: readonly number[], token: number, lender: Lender): T;
}

const types: TransferType<object>[] = [];

/** Registers a class of values that move between shards. @throws SunstarError SUNSTAR_INVALID_ARGUMENT for a name that is taken. */
export function registerTransfer<T extends object>(type: TransferType<T>): void {
  if (types.some(({ name }) => name === type.name)) {
    throw new SunstarError(
      'SUNSTAR_INVALID_ARGUMENT',
      `A transfer type named '${type.name}' is registered already: is the package that has it loaded twice?`,
    );
  }
  types.push(type);
}

/** The type of a value that moves; undefined for one that is copied. */
export function transferTypeOf(value: object): TransferType<object> | undefined {
  for (let index = 0; index < types.length; index++) {
    if (value instanceof types[index].valueClass) return types[index];
  }
  return undefined;
}

/** Makes the value that arrived. */
export function receiveTransfer(
  name: string,
  numbers: readonly number[],
  token: number,
  lender: Lender,
): object {
  const type = types.find((candidate) => candidate.name === name);
  if (type !== undefined) return type.receive(numbers, token, lender);
  lender.giveBack(token);
  throw new SunstarError(
    'SUNSTAR_UNKNOWN_TRANSFER',
    `Shard ${lender.shardId} sent a value of the type '${name}', which this shard does not know. ` +
      'Import the package that has it in the entry module of every shard.',
  );
}

/** Tokens are odd, the offsets of blocks are not: both travel home in the same message. */
export function isToken(word: number): boolean {
  return (word & 1) !== 0;
}

const TOKENS = 2 ** 31;
let lastToken = 0;

/** A parcel in a message that is being written. */
export interface Loan {
  readonly token: number;
  readonly parcel: Parcel;
}

/** The parcels of this shard that one peer has. */
export class Loans {
  readonly #away = new Map<number, Parcel>();

  /** A number for a parcel, below 2^32. */
  static newToken(): number {
    // The thread would have to lend two thousand million values before one that is still away comes up again.
    lastToken = (lastToken + 1) % TOKENS;
    return lastToken * 2 + 1;
  }

  /** How many there are. */
  get count(): number {
    return this.#away.size;
  }

  /** Notes what a message took along. */
  lend(loans: readonly Loan[]): void {
    for (const { token, parcel } of loans) {
      this.#away.set(token, parcel);
      parcel.sent();
    }
  }

  /** The peer has let go. */
  takeBack(token: number): void {
    const parcel = this.#away.get(token);
    if (parcel === undefined) {
      throw new SunstarError('SUNSTAR_BROKEN_INVARIANT', `A peer gave back ${token}, which it was not lent.`);
    }
    this.#away.delete(token);
    parcel.release();
  }

  /** The peer is gone. */
  takeAllBack(): void {
    const parcels = [...this.#away.values()];
    this.#away.clear();
    for (const parcel of parcels) parcel.release();
  }
}

/** What a {@link Lender} needs of the connection with its shard. */
export interface Returns {
  readonly memory: ShardMemory;
  readonly peerId: number;
  readonly stopped: boolean;
  giveBack(token: number): void;
  sendReturns(): void;
}

/** The peer at the other end of a connection, as a lender. Returns are batched until the current callback ends. */
export class PeerLender implements Lender {
  readonly shardId: number;
  readonly arena: Arena;
  readonly memory: ShardMemory;
  readonly #link: Returns;
  readonly #flush: () => void;
  #scheduled = false;

  constructor(link: Returns, arena: Arena) {
    this.shardId = link.peerId;
    this.arena = arena;
    this.memory = link.memory;
    this.#link = link;
    this.#flush = () => {
      this.#scheduled = false;
      if (!link.stopped) link.sendReturns();
    };
  }

  giveBack(token: number): void {
    // A peer that is gone has taken everything back.
    if (this.#link.stopped) return;
    this.#link.giveBack(token);
    if (this.#scheduled) return;
    this.#scheduled = true;
    queueMicrotask(this.#flush);
  }
}
