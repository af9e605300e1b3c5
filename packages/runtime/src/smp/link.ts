import { SunstarError } from '../errors.js';
import type { ShardMemory } from '../memory/index.js';
import { isToken, Loans } from './codec/transfer.js';
import { SHARD_STOPPED } from './layout.js';
import { LoadTable } from './load-table.js';
import { BYE, FREE, FREES_PER_MESSAGE, offsetOf, PAYLOAD_WORDS_AT, ROOM, wordOf } from './message.js';
import type { Peer } from './peer.js';
import { PlainCall } from './served-call.js';
import { SlotQueue } from './slot-queue.js';
import { type ControlViews, SpscConsumer, SpscProducer } from './spsc-ring.js';

/** How many messages are shown together, at most; the size of a batch in Seastar too. */
const HELD = 16;

const settled: Promise<void> = Promise.resolve();

/** What a {@link Link} is made of. */
export interface LinkOptions {
  readonly views: ControlViews;
  readonly shardId: number;
  readonly peerId: number;
  readonly memory: ShardMemory;
  /** The largest number of messages that may wait for room in the ring. */
  readonly maxQueued: number;
  readonly wake: (shardId: number) => void;
}

/**
 * One shard's side of the connection with one peer: both rings, what waits for room, the peer's wake-up,
 * and the arena blocks that are away.
 *
 * Wake-up (Dekker): the producer stores the tail, then reads the sleeping flag; the consumer stores the
 * flag, then reads the tail. At least one of them sees the other. The same holds for room: the producer
 * stores its wish, then reads the head; the consumer stores the head, then reads the wish.
 */
export class Link {
  readonly peerId: number;
  readonly consumer: SpscConsumer;
  /** The peer as the owner and the holder of values that move; set when the link is made. */
  peer!: Peer;
  /** Calls to the peer that wait for an answer. */
  outstanding = 0;
  /** What the peer has told of itself with its answers. */
  readonly load: LoadTable = new LoadTable();
  /** What methods that the peer calls without options see of their call. */
  readonly plainCall: PlainCall;
  /** Set when the peer answers no more. */
  stopped = false;
  /** Why the peer answers no more, as far as is known. */
  cause: unknown;
  /** Set when this shard has closed its mesh. */
  closedHere = false;
  /** While it is set, messages are written and not shown: `uncork()` shows them together. */
  corked = false;
  /** Messages that found the ring full. */
  overflowed = 0;
  /** Times that the peer was woken. */
  wakeUps = 0;
  /**
   * The slot of the last message while it is not shown and may take another one of its kind, or −1, and the byte where
   * its payload ends. For the writer of messages.
   */
  openSlot = -1;
  openAt = 0;

  readonly #views: ControlViews;
  /** The memory of this shard. */
  readonly memory: ShardMemory;
  readonly #producer: SpscProducer;
  readonly #queue: SlotQueue;
  readonly #sleepWord: number;
  readonly #stateWord: number;
  readonly #wake: (shardId: number) => void;
  /** Blocks of this shard that the peer reads. */
  readonly #away = new Set<number>();
  /** Values that moved to the peer. */
  readonly loans: Loans = new Loans();
  /** Messages that are written and shown a little later, together. */
  #held = 0;
  readonly #showHeld = (): void => {
    if (this.#held > 0) this.#show();
  };
  /** A FREE message in the making: blocks of the peer that were read here. */
  readonly #returns = new Int32Array(PAYLOAD_WORDS_AT + FREES_PER_MESSAGE);
  readonly #notice = new Int32Array(PAYLOAD_WORDS_AT);
  #returnCount = 0;
  #roomWanted = false;

  constructor(options: LinkOptions) {
    const { views, shardId, peerId } = options;
    this.peerId = peerId;
    this.plainCall = new PlainCall(peerId);
    this.consumer = new SpscConsumer(views, peerId, shardId);
    this.#views = views;
    this.memory = options.memory;
    this.#producer = new SpscProducer(views, shardId, peerId);
    this.#queue = new SlotQueue(options.maxQueued);
    this.#sleepWord = views.layout.sleepWord(peerId);
    this.#stateWord = views.layout.stateWord(peerId);
    this.#wake = options.wake;
  }

  /** Messages that wait for room. */
  get queued(): number {
    return this.#queue.length;
  }

  /** Blocks of this shard that the peer has not given back. */
  get blocksAway(): number {
    return this.#away.size + this.loans.count;
  }

  /** Whether the peer has closed its mesh; what it sent before may still be in the ring. */
  get peerStopped(): boolean {
    return Atomics.load(this.#views.shared, this.#stateWord) === SHARD_STOPPED;
  }

  /**
   * Sends a message: into the ring, or behind those that wait for room in it.
   *
   * Showing a message moves a line of memory between cores. One that is in no hurry is shown together with
   * those that follow: when there are sixteen, or when the code that runs now gives way (as a microtask).
   *
   * @param block - The arena block of its payload, or −1; it is the peer's to give back.
   * @param hurry - The peer may have nothing to do but wait for it.
   * @returns False when too many messages wait for room: nothing was sent.
   */
  send(message: Int32Array, words: number, block: number, hurry: boolean): boolean {
    this.openSlot = -1;
    if (this.#queue.length !== 0 || !this.#producer.tryWrite(message, 0, words)) {
      if (!this.#queue.tryPush(message, 0, words)) return false;
      this.overflowed++;
      if (block >= 0) this.#away.add(block);
      // The peer says when there is room, and looks for it are dear: its core is reading there.
      if (!this.#roomWanted || (this.overflowed & (HELD - 1)) === 0) this.flush();
      return true;
    }
    if (block >= 0) this.#away.add(block);
    this.#written(hurry);
    return true;
  }

  /**
   * The next slot of the ring, to be written in place, and sent with {@link commit}.
   *
   * @returns Its first word, −1 when messages wait for room: then `send()` one.
   */
  claim(): number {
    return this.#queue.length === 0 ? this.#producer.claim() : -1;
  }

  /** Sends what was written into the slot that was claimed. @param hurry - See {@link send}. */
  commit(hurry: boolean): void {
    this.openSlot = -1;
    this.#producer.commit();
    this.#written(hurry);
  }

  /** Like {@link commit}, for a message that is in no hurry and may take more of its kind until it is shown. */
  commitOpen(slot: number, payloadEnd: number): void {
    this.commit(false);
    if (!this.#producer.unpublished) return;
    this.openSlot = slot;
    this.openAt = payloadEnd;
  }

  /** Shows what was written while corked. */
  uncork(): void {
    this.corked = false;
    if (this.#producer.unpublished) this.#show();
  }

  /** Moves waiting messages into the ring, as far as there is room. */
  flush(): void {
    this.#moveQueued();
    if (this.#queue.length !== 0 && !this.#roomWanted) {
      this.#roomWanted = true;
      this.#producer.wantRoom();
      this.#moveQueued();
    }
    // Shown even when corked: the peer cannot make room for what waits before it sees what is there.
    if (this.#producer.unpublished) this.#show();
    else this.#wakeSleeper();
  }

  /** The peer says that there is room. */
  roomMade(): void {
    this.#roomWanted = false;
    this.flush();
  }

  /**
   * Gives the slots of all taken messages back, and says so when the peer waits for that.
   *
   * @returns False when the peer has closed its mesh and could not even say so in the full ring.
   */
  release(): boolean {
    if (!this.consumer.release()) return true;
    if (this.peerStopped) return false;
    this.#notice[0] = ROOM;
    this.#must(this.send(this.#notice, 1, -1, true));
    return true;
  }

  /** Remembers a block (or the token of a value) of the peer that was read; it goes home with the next FREE. */
  giveBack(offset: number): void {
    this.#returns[PAYLOAD_WORDS_AT + this.#returnCount++] = isToken(offset) ? offset : wordOf(offset);
    if (this.#returnCount === FREES_PER_MESSAGE) this.sendReturns();
  }

  /**
   * Sends the blocks that were read back to their owner. It is not woken for that: it cannot miss memory
   * while it sleeps, and reads the message when something else wakes it.
   *
   * @param hurry - Wakes it nevertheless: it has something to do for a value that comes home.
   */
  sendReturns(hurry = false): void {
    const count = this.#returnCount;
    if (count === 0) return;
    this.#returnCount = 0;
    this.#returns[0] = FREE | (count << 16);
    const words = PAYLOAD_WORDS_AT + count;
    if (this.#queue.length === 0 && this.#producer.tryWrite(this.#returns, 0, words)) {
      if (hurry) this.#show();
      else if (!this.corked) this.#publish();
    } else this.#must(this.send(this.#returns, words, -1, true));
  }

  /** Takes a block back that the peer has read, or a value: as the word that came with FREE. */
  takeBack(word: number): void {
    if (isToken(word)) {
      this.loans.takeBack(word);
      return;
    }
    const offset = offsetOf(word);
    if (!this.#away.delete(offset)) {
      throw new SunstarError(
        'SUNSTAR_BROKEN_INVARIANT',
        `Shard ${this.peerId} gave back the block at offset ${offset}, which it was not given.`,
      );
    }
    this.memory.free(offset);
  }

  /** The peer is gone: forgets what waits and takes every block back. */
  abandon(cause: unknown): void {
    this.stopped = true;
    this.cause = cause;
    this.#queue.clear();
    for (const offset of this.#away) this.memory.free(offset);
    this.#away.clear();
    this.loans.takeAllBack();
    this.peer?.gone();
    this.#returnCount = 0;
    // Showing it now would ring at a shard that is gone.
    this.#held = 0;
  }

  /**
   * The last message. What waits for room is dropped; blocks that are away stay allocated, because the
   * peer may still read them. When the ring is full the wish for room makes the peer look at the state.
   */
  bye(): void {
    this.closedHere = true;
    if (this.stopped) return;
    this.stopped = true;
    this.loans.close();
    this.peer?.gone();
    this.#queue.clear();
    this.#notice[0] = BYE;
    if (!this.#producer.tryWrite(this.#notice, 0, 1)) {
      this.#producer.wantRoom();
      this.#producer.tryWrite(this.#notice, 0, 1);
    }
    this.#show();
  }

  invariants(): void {
    this.#producer.invariants();
    this.consumer.invariants();
    this.#queue.invariants();
    const ok =
      this.outstanding >= 0 &&
      this.#returnCount >= 0 &&
      this.#returnCount < FREES_PER_MESSAGE &&
      (this.#queue.length === 0 || this.#roomWanted) &&
      (this.corked || this.stopped || this.#held > 0 || !this.#producer.unpublished);
    if (!ok) {
      throw new SunstarError(
        'SUNSTAR_BROKEN_INVARIANT',
        `The link with shard ${this.peerId} is inconsistent.`,
      );
    }
  }

  #written(hurry: boolean): void {
    if (this.corked) return;
    if (hurry || this.#held === HELD - 1) this.#show();
    else if (this.#held++ === 0) void settled.then(this.#showHeld);
  }

  #moveQueued(): void {
    const queue = this.#queue;
    while (queue.length !== 0 && this.#producer.tryWrite(queue.words, queue.first, 16)) queue.shift();
  }

  #show(): void {
    this.#publish();
    this.#wakeSleeper();
  }

  #publish(): void {
    this.#held = 0;
    this.openSlot = -1;
    this.#producer.publish();
  }

  #wakeSleeper(): void {
    const { shared } = this.#views;
    const word = this.#sleepWord;
    if (Atomics.load(shared, word) === 1 && Atomics.compareExchange(shared, word, 1, 0) === 1) {
      this.wakeUps++;
      this.#wake(this.peerId);
    }
  }

  #must(sent: boolean): void {
    if (sent || this.stopped) return;
    throw new SunstarError(
      'SUNSTAR_BROKEN_INVARIANT',
      `More messages wait for shard ${this.peerId} than calls and answers can explain.`,
    );
  }
}
