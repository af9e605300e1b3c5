import { SunstarError } from '../errors.js';
import type { Clock } from '../sync/index.js';
import type { Caller } from './caller.js';
import type { Directory } from './directory.js';
import type { Link } from './link.js';
import * as message from './message.js';
import type { MessageReader } from './message-io.js';
import type { FullLimits } from './options.js';
import type { OwnLoad } from './own-load.js';
import { notSent } from './remote-error.js';
import type { Server } from './server.js';

// Imported names are looked up at each use, constants of the module are not.
const {
  BYE,
  CALL,
  EVENT_BITS,
  EVENT_MASK,
  FAILURE,
  FREE,
  NOTIFY,
  OUT_OF_MEMORY,
  PAYLOAD_WORDS_AT,
  REGISTER,
  REPLY,
  ROOM,
  TO_HOLDER,
  TO_LENDER,
} = message;

/** How many slots are fetched together, and the answers to them shown together, at most. */
const TOGETHER = 8;

/** What a shard tells of a service. */
export type Announcement = [id: number, name: string, methods: readonly string[], ...fields: string[]];

/** What an {@link Inbox} gives messages to. */
export interface InboxOptions {
  /** Whoever may send; the owner of the inbox changes it when a shard is started again. */
  readonly peers: readonly Link[];
  readonly limits: FullLimits;
  readonly reader: MessageReader;
  readonly caller: Caller;
  readonly server: Server;
  readonly directory: Directory;
  readonly load: OwnLoad;
  /** The time when the turn began. */
  readonly turnClock: Clock;
}

/** Takes the messages of the peers out of their rings, and gives each to whom it is for. */
export class Inbox {
  readonly #peers: readonly Link[];
  readonly #messagesPerPeer: number;
  readonly #messagesPerPoll: number;
  readonly #slots: Int32Array;
  readonly #reader: MessageReader;
  readonly #caller: Caller;
  readonly #server: Server;
  readonly #directory: Directory;
  readonly #load: OwnLoad;
  readonly #turnClock: Clock;
  #nextPeer = 0;

  constructor(options: InboxOptions) {
    this.#peers = options.peers;
    this.#messagesPerPeer = options.limits.messagesPerPeer;
    this.#messagesPerPoll = options.limits.messagesPerPoll;
    this.#reader = options.reader;
    this.#slots = options.reader.slots;
    this.#caller = options.caller;
    this.#server = options.server;
    this.#directory = options.directory;
    this.#load = options.load;
    this.#turnClock = options.turnClock;
  }

  /**
   * Handles messages, in turns among the peers and within the limits.
   *
   * @returns How many were handled.
   */
  poll(): number {
    const { nowMs } = this.#turnClock;
    this.#caller.turnMs = nowMs;
    this.#load.turn(nowMs);
    const peers = this.#peers;
    const count = peers.length;
    const limit = this.#messagesPerPoll;
    let handled = 0;
    let at = this.#nextPeer;
    for (let turn = 0; turn < count && handled < limit; turn++) {
      const link = peers[at];
      if (++at === count) at = 0;
      if (link.stopped) continue;
      if (link.queued !== 0) link.flush();
      if (link.consumer.available() !== 0) {
        handled += this.#drain(link, Math.min(this.#messagesPerPeer, limit - handled));
      }
    }
    this.#nextPeer = at;
    return handled;
  }

  /** A shard has ended without a word: handles what it had sent, and gives it up. */
  gone(link: Link, cause: unknown): void {
    if (link.stopped) return;
    // At most one ring full: nobody writes any more. Not when a call of that very shard is running.
    while (!link.corked && !link.stopped && link.consumer.available() !== 0) this.#drain(link, TOGETHER);
    this.#abandon(link, cause);
  }

  #drain(link: Link, limit: number): number {
    const { consumer } = link;
    let handled = 0;
    try {
      while (handled < limit && !link.stopped) {
        const count = Math.min(TOGETHER, limit - handled, consumer.available());
        if (count === 0) break;
        consumer.fetch(count);
        link.corked = true;
        for (let index = 0; index < count && handled < limit && !link.stopped; index++) {
          handled += this.#handle(link, consumer.take());
        }
        if (!link.stopped) link.uncork();
      }
    } finally {
      link.corked = false;
      if (!link.stopped) {
        link.uncork();
        link.sendReturns();
        if (!link.release()) this.gone(link, undefined);
      }
    }
    return handled;
  }

  /** @returns How many messages were in the slot. */
  #handle(link: Link, slot: number): number {
    const slots = this.#slots;
    const head = slots[slot];
    const kind = head & 0xff;
    switch (kind) {
      case CALL:
      case NOTIFY:
        return this.#server.serve(link, slot, kind);
      case REPLY:
      case FAILURE:
      case OUT_OF_MEMORY:
        this.#caller.answered(link, slot, kind);
        break;
      case TO_HOLDER:
      case TO_LENDER:
        this.#event(link, slot, kind);
        break;
      case FREE:
        for (let index = 0; index < head >>> 16; index++) {
          link.takeBack(slots[slot + PAYLOAD_WORDS_AT + index] >>> 0);
        }
        break;
      case ROOM:
        link.roomMade();
        break;
      case REGISTER: {
        const announcement = this.#reader.open(link, slot).value() as Announcement;
        this.#reader.done(link, slot);
        const [id, name, methods, ...fields] = announcement;
        this.#directory.announced(link.peerId, name, { id, methods, fields });
        break;
      }
      case BYE:
        this.#abandon(link, undefined);
        break;
      default:
        throw new SunstarError(
          'SUNSTAR_BROKEN_INVARIANT',
          `Shard ${link.peerId} sent a message of unknown kind ${kind}. Something wrote over the control block.`,
        );
    }
    return 1;
  }

  #event(link: Link, slot: number, kind: number): void {
    const reader = this.#reader;
    const token = this.#slots[slot + 1] >>> 0;
    const word = this.#slots[slot + 2];
    let value: unknown;
    try {
      value = reader.eventValue(link, slot);
    } catch (error) {
      if (kind === TO_HOLDER) link.peer.unreadable(token, error);
      else throw error;
      return;
    }
    const moved = reader.takeMoved();
    const event = word & EVENT_MASK;
    if (kind === TO_HOLDER) link.peer.toHolder(token, event, word >>> EVENT_BITS, value, moved);
    else link.peer.toLender(token, event, word >>> EVENT_BITS, value, moved);
  }

  #abandon(link: Link, cause: unknown): void {
    if (link.stopped) return;
    link.abandon(cause);
    this.#caller.abandon(link);
    this.#directory.peerGone(link.peerId, notSent(link, 'the start of a service'));
  }
}
