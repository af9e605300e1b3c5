import { IOBuf } from '@sunstar/iobuf';
import { type ShardMemory, SunstarError } from '@sunstar/runtime';

/** A reply that comes from somewhere else, or later. */
export interface PendingReply {
  /** The reply's bytes, once it is there and may be sent; null before. */
  bytes(durablePosition: number): Uint8Array | null;
  /** The log has failed: if the reply says that something was written that is not durable, it becomes this error. */
  fail(durablePosition: number, error: Uint8Array): void;
}

/** In place of a position: the reply is the next of the pending ones. */
const PENDING = -1;
const FIRST_ENTRIES = 16;

/**
 * The replies of one connection that cannot be sent yet, in the order of the commands: some are written but wait
 * until the log is durable up to a position, some have yet to come, and the others wait behind those.
 */
export class ReplyQueue {
  /** Bytes of the replies that are written; append to it, then call {@link push}. */
  readonly held: IOBuf;
  /** For each entry its bytes in `held` and the position that it waits for. A ring; its size is a power of two. */
  #lengths: Float64Array = new Float64Array(FIRST_ENTRIES);
  #positions: Float64Array = new Float64Array(FIRST_ENTRIES);
  #head = 0;
  #count = 0;
  readonly #pending: PendingReply[] = [];

  constructor(memory: ShardMemory) {
    this.held = new IOBuf(memory);
  }

  /** Entries; replies that need not wait for themselves share one. */
  get count(): number {
    return this.#count;
  }

  /** Replies that are yet to come. */
  get pendingCount(): number {
    return this.#pending.length;
  }

  get isEmpty(): boolean {
    return this.#count === 0;
  }

  /**
   * Adds a reply whose bytes are the last in `held`.
   *
   * @param position - Where the log must be durable first; 0 when the reply waits only for those before it.
   */
  push(lengthBytes: number, position: number): void {
    if (this.#count > 0 && position === 0) {
      const last = (this.#head + this.#count - 1) & (this.#lengths.length - 1);
      if (this.#positions[last] === 0) {
        this.#lengths[last] += lengthBytes;
        return;
      }
    }
    this.#add(lengthBytes, position);
  }

  /** Adds a reply that is yet to come. */
  pushPending(reply: PendingReply): void {
    this.#pending.push(reply);
    this.#add(0, PENDING);
  }

  /**
   * Moves the replies from the front that may be sent to the output.
   *
   * @returns Whether there were any.
   */
  release(output: IOBuf, durablePosition: number): boolean {
    const mask = this.#lengths.length - 1;
    let ready = 0;
    let isAny = false;
    while (this.#count > 0) {
      const position = this.#positions[this.#head];
      if (position === PENDING) {
        const bytes = this.#pending[0].bytes(durablePosition);
        if (bytes === null) break;
        this.#move(output, ready);
        ready = 0;
        output.append(bytes);
        this.#pending.shift();
        isAny = true;
      } else {
        if (position > durablePosition) break;
        ready += this.#lengths[this.#head];
      }
      this.#head = (this.#head + 1) & mask;
      this.#count--;
    }
    this.#move(output, ready);
    return isAny || ready > 0;
  }

  /** Whether a reply waits for the log. */
  get isWaitingForLog(): boolean {
    const mask = this.#lengths.length - 1;
    for (let i = 0; i < this.#count; i++) {
      const position = this.#positions[(this.#head + i) & mask];
      if (position !== 0) return true;
    }
    return false;
  }

  /** The log has failed: replies to writes that are not durable become errors, so that nobody waits for ever. */
  fail(durablePosition: number, error: Uint8Array): void {
    const mask = this.#lengths.length - 1;
    const before = new IOBuf(this.held.memory);
    before.take(this.held);
    for (let i = 0; i < this.#count; i++) {
      const at = (this.#head + i) & mask;
      const lengthBytes = this.#lengths[at];
      if (this.#positions[at] > durablePosition) {
        before.trimFront(lengthBytes);
        this.held.append(error);
        this.#lengths[at] = error.length;
      } else if (lengthBytes > 0) {
        takeFront(this.held, before, lengthBytes);
      }
      if (this.#positions[at] > 0) this.#positions[at] = 0;
    }
    before[Symbol.dispose]();
    for (const reply of this.#pending) reply.fail(durablePosition, error);
  }

  /** Frees everything. */
  dispose(): void {
    this.held[Symbol.dispose]();
    this.#count = 0;
    this.#pending.length = 0;
  }

  /** Throws when the parts contradict each other. For tests. */
  invariants(): void {
    let bytes = 0;
    let pending = 0;
    for (let i = 0; i < this.#count; i++) {
      const at = (this.#head + i) & (this.#lengths.length - 1);
      bytes += this.#lengths[at];
      if (this.#positions[at] === PENDING) pending++;
    }
    if (bytes !== this.held.sizeBytes || pending !== this.#pending.length) {
      throw new SunstarError(
        'SUNSTAR_INVARIANT',
        `ReplyQueue: ${bytes} bytes and ${pending} pending, but holds ${this.held.sizeBytes} and ${this.#pending.length}.`,
      );
    }
  }

  #move(output: IOBuf, lengthBytes: number): void {
    if (lengthBytes > 0) takeFront(output, this.held, lengthBytes);
  }

  #add(lengthBytes: number, position: number): void {
    if (this.#count === this.#lengths.length) this.#grow();
    const at = (this.#head + this.#count) & (this.#lengths.length - 1);
    this.#lengths[at] = lengthBytes;
    this.#positions[at] = position;
    this.#count++;
  }

  #grow(): void {
    const size = this.#lengths.length;
    const lengths = new Float64Array(2 * size);
    const positions = new Float64Array(2 * size);
    for (let i = 0; i < size; i++) {
      const at = (this.#head + i) & (size - 1);
      lengths[i] = this.#lengths[at];
      positions[i] = this.#positions[at];
    }
    this.#lengths = lengths;
    this.#positions = positions;
    this.#head = 0;
  }
}

/** Moves the first bytes of one buffer behind the content of another, without a copy where that is cheaper. */
function takeFront(target: IOBuf, source: IOBuf, lengthBytes: number): void {
  if (lengthBytes === source.sizeBytes) {
    target.take(source);
    return;
  }
  const front = source.share(0, lengthBytes);
  target.appendIOBuf(front);
  front[Symbol.dispose]();
  source.trimFront(lengthBytes);
}
