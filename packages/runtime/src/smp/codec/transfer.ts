import { SunstarError } from '../../errors.js';
import type { Arena, ShardMemory } from '../../memory/index.js';

/** What a message holds of a value that moves, until the receiver has let go of it. */
export interface Parcel {
  /** Describes the value to {@link TransferType.receive}. */
  readonly numbers: readonly number[];
  /** What else describes it; goes along like an argument. */
  readonly extra?: unknown;
  /** Everything is ready to be sent, and nothing is. May throw: then nothing will be. */
  sending?(borrower: Borrower): void;
  /** The message is on its way: the value is its former owner's no more. Must not throw. */
  sent(borrower: Borrower, token: number): void;
  /** Nobody reads the memory any more: the message was not sent, or the receiver has let go, or is gone. Must not throw. */
  release(): void;
  /** The scheduling group in which {@link told} runs. @default that of the messages */
  readonly groupId?: number;
  /** The receiver tells something with {@link Lender.tellLender}. Must not throw. */
  told?(event: number, number: number, value: unknown): void;
  /** This shard ends its calls: nothing more can be told to the receiver, which may still read the memory. */
  closed?(): void;
}

/** The receiving shard, as the sender of a {@link Parcel} sees it. */
export interface Borrower {
  readonly shardId: number;
  /**
   * Tells the receiver something about the value of a token; nothing when it has let go or is gone.
   *
   * @throws What cannot be encoded or sent; then nothing was sent.
   */
  tellHolder(token: number, event: number, number: number, value?: unknown): void;
}

/** Told to whoever holds a value of another shard. Must not throw. */
export interface Holder {
  /** The scheduling group in which it is told. @default that of the messages */
  readonly groupId?: number;
  /** The sender tells something with {@link Borrower.tellHolder}. */
  told(event: number, number: number, value: unknown, moved: readonly Moved[]): void;
  /** The sender answers no more; nothing more will be told. */
  gone(error: SunstarError): void;
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
  /** Has what the sender tells about a value go to a holder, until the value is given back. */
  hold(token: number, holder: Holder): void;
  /**
   * Tells the sender something about a value; nothing when it is gone.
   *
   * @throws What cannot be encoded or sent; then nothing was sent.
   */
  tellLender(token: number, event: number, number: number, value?: unknown): void;
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
  /**
   * Makes an instance of what arrived. It calls `lender.giveBack(token)` when it lets go, also if that is at once,
   * but not when it throws.
   */
  receive(numbers: readonly number[], token: number, lender: Lender, extra: unknown): T;
  /** Lets go of an instance that arrived and that nobody will get. @default its `Symbol.dispose` method, if it has one */
  drop?(value: T): void;
  /** The value is the call's, not the method's: it is let go when the call is over. @default false */
  readonly ofCall?: boolean;
}

const types: TransferType<object>[] = [];
const typesByName = new Map<string, TransferType<object>>();

/** Registers a class of values that move between shards. @throws SunstarError SUNSTAR_INVALID_ARGUMENT for a name that is taken. */
export function registerTransfer<T extends object>(type: TransferType<T>): void {
  if (typesByName.has(type.name)) {
    throw new SunstarError(
      'SUNSTAR_INVALID_ARGUMENT',
      `A transfer type named '${type.name}' is registered already: is the package that has it loaded twice?`,
    );
  }
  types.push(type);
  typesByName.set(type.name, type);
}

/** The type of a value that moves; undefined for one that is copied. */
export function transferTypeOf(value: object): TransferType<object> | undefined {
  for (let index = 0; index < types.length; index++) {
    if (value instanceof types[index].valueClass) return types[index];
  }
  return undefined;
}

/** One of the types that the calls themselves use. */
export function transferTypeNamed(name: string): TransferType<object> {
  const type = typesByName.get(name);
  if (type === undefined) throw new SunstarError('SUNSTAR_BROKEN_INVARIANT', `No transfer type '${name}'.`);
  return type;
}

/** Makes the value that arrived. When it throws, the token is still to be given back. */
export function receiveTransfer(
  name: string,
  numbers: readonly number[],
  token: number,
  lender: Lender,
  extra: unknown,
): Moved {
  const type = typesByName.get(name);
  if (type !== undefined) return { token, type, value: type.receive(numbers, token, lender, extra) };
  throw new SunstarError(
    'SUNSTAR_UNKNOWN_TRANSFER',
    `Shard ${lender.shardId} sent a value of the type '${name}', which this shard does not know. ` +
      'Import the package that has it in the entry module of every shard.',
  );
}

/** A value that arrived by moving. */
export interface Moved {
  readonly token: number;
  readonly type: TransferType<object>;
  readonly value: object;
}

/** Lets go of values that nobody will get. */
export function dropMoved(moved: readonly Moved[]): void {
  for (const { type, value } of moved) {
    if (type.drop !== undefined) type.drop(value);
    else (value as Partial<Disposable>)[Symbol.dispose]?.();
  }
}

/** Those that belong to the call which they came with. */
export function ofCall(moved: readonly Moved[]): readonly Moved[] | undefined {
  const own = moved.filter(({ type }) => type.ofCall === true);
  return own.length === 0 ? undefined : own;
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

  /** The parcel of a token, if the peer still has it. */
  find(token: number): Parcel | undefined {
    return this.#away.get(token);
  }

  /** Notes what a message took along. */
  lend(loans: readonly Loan[], borrower: Borrower): void {
    for (const { token, parcel } of loans) this.#away.set(token, parcel);
    for (const { token, parcel } of loans) parcel.sent(borrower, token);
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

  /** This shard ends its calls. */
  close(): void {
    for (const parcel of [...this.#away.values()]) parcel.closed?.();
  }

  /** The peer is gone. */
  takeAllBack(): void {
    const parcels = [...this.#away.values()];
    this.#away.clear();
    for (const parcel of parcels) parcel.release();
  }
}
