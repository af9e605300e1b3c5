import { native, type RingDescription } from '@sunstar/native';
import { IORING_CQE_F, IORING_OP } from '../../src/reactor/constants.js';
import { SubmissionQueue } from '../../src/reactor/submission-queue.js';

/** One entry; what is left out is 0. */
export interface Entry {
  readonly opcode: number;
  readonly fd?: number;
  readonly address?: number;
  readonly length?: number;
  readonly offset?: number;
  readonly opFlags?: number;
  readonly sqeFlags?: number;
  readonly ioprio?: number;
  readonly bufferGroup?: number;
}

/** A completion: the result, and the flags that mean the same on every ring. */
export type Shot = readonly [result: number, flags: number];

const MEANINGFUL = IORING_CQE_F.MORE | IORING_CQE_F.BUFFER;
const SELF = new Uint8Array(new SharedArrayBuffer(1 << 16));

/** A ring without a reactor: entries in, completions out, nobody waits but by asking. */
export class RawRing {
  readonly description: RingDescription;
  /** Scratch memory and its address. */
  readonly memory: Uint8Array = SELF;
  readonly address: number = native.addressOf(SELF);
  /** The completions of each operation, in order. */
  readonly shots = new Map<number, Shot[]>();
  readonly #submissions: SubmissionQueue;
  readonly #queues: Int32Array;
  readonly #control: Int32Array;
  readonly #pending = new Set<number>();
  #nextId = 1;

  constructor(isEmulated: boolean) {
    const description = native.createRing(64, 256, isEmulated);
    if (typeof description === 'number') throw new Error(`createRing: ${description}`);
    this.description = description;
    this.#queues = new Int32Array(description.queues);
    this.#control = new Int32Array(description.control);
    this.#submissions = new SubmissionQueue(description, this.#queues);
  }

  get pending(): ReadonlySet<number> {
    return this.#pending;
  }

  /** Queues an entry; returns its id. */
  push(entry: Entry): number {
    const id = this.#nextId++;
    this.#submissions.reserve();
    this.#submissions.push(
      id,
      0,
      entry.opcode,
      entry.fd ?? -1,
      entry.address ?? 0,
      entry.length ?? 0,
      entry.offset ?? 0,
      entry.opFlags ?? 0,
      entry.sqeFlags ?? 0,
      entry.ioprio ?? 0,
      entry.bufferGroup ?? 0,
    );
    this.#pending.add(id);
    this.shots.set(id, []);
    return id;
  }

  /** Submits, and takes what has completed; waits for one completion when asked to. */
  enter(minComplete = 0): number {
    const result = this.description.ring.enter(minComplete);
    this.#reap();
    return result;
  }

  /** Submits, and waits until all of these have ended. */
  until(ids: readonly number[]): void {
    this.enter();
    while (ids.some((id) => this.#pending.has(id))) this.enter(1);
  }

  /** Submits, and takes everything that needs no more than looking. */
  settle(): void {
    // What is linked starts in a round of its own.
    for (let i = 0; i < 16; i++) this.enter();
  }

  /** Submits one entry, and returns its result. */
  run(entry: Entry): number {
    const id = this.push(entry);
    this.until([id]);
    return (this.shots.get(id) as Shot[])[0][0];
  }

  /** Ends whatever is in flight. */
  cancelAll(): void {
    while (this.#pending.size > 0) {
      const cancels = [...this.#pending].map((target) =>
        this.push({ opcode: IORING_OP.ASYNC_CANCEL, address: target }),
      );
      this.until(cancels);
      this.settle();
    }
  }

  #reap(): void {
    const { cqHead, cqTail, cqes, cqEntries } = this.description;
    const queues = this.#queues;
    const tail = Atomics.load(queues, cqTail);
    let head = queues[cqHead];
    for (; head !== tail; head = (head + 1) | 0) {
      const at = cqes + (head & (cqEntries - 1)) * 4;
      const id = queues[at];
      const flags = queues[at + 3];
      this.shots.get(id)?.push([queues[at + 2], flags & MEANINGFUL]);
      if ((flags & IORING_CQE_F.MORE) === 0) this.#pending.delete(id);
    }
    this.#control[0] = 0;
    this.#control[4] = head;
    Atomics.store(queues, cqHead, head);
  }
}
