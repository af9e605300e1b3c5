import { IOBuf } from '@sunstar/iobuf';
import { SunstarError } from '@sunstar/runtime';

/** What answers a request; null answers nothing. An IOBuf belongs to the connection from then on. */
export type PipelineResponse = IOBuf | Uint8Array | string | null;

/** Where responses go; a connection is one. */
export interface ResponseSink {
  /** Resolves when more may be written. */
  write(response: IOBuf | Uint8Array | string): Promise<void>;
}

/** A place of a response that has not come yet. */
const PENDING: unique symbol = Symbol('pending');

/**
 * Puts responses back into the order of their requests: each request takes the next place, its response may come at
 * any time, and leaves when all before it have. A place is free again when its response was written.
 */
export class ResponseQueue {
  readonly #sink: ResponseSink;
  readonly #places: (PipelineResponse | typeof PENDING)[];
  readonly #costs: number[];
  readonly #written: (cost: number) => void;
  readonly #failed: (cause: unknown) => void;
  #first = 0;
  #next = 0;
  #isWriting = false;
  #isBroken = false;

  /**
   * @param capacity - How many responses may be outstanding.
   * @param written - Called with the cost of a request when its response was written, or dropped.
   * @param failed - Called when a response could not be written; those behind it are dropped.
   */
  constructor(
    sink: ResponseSink,
    capacity: number,
    written: (cost: number) => void,
    failed: (cause: unknown) => void,
  ) {
    this.#sink = sink;
    this.#places = new Array<PipelineResponse | typeof PENDING>(capacity).fill(null);
    this.#costs = new Array<number>(capacity).fill(0);
    this.#written = written;
    this.#failed = failed;
  }

  /** Requests whose responses have not been written. */
  get size(): number {
    return this.#next - this.#first;
  }

  get isFull(): boolean {
    return this.size === this.#places.length;
  }

  /** Takes the place of the next request; not when {@link isFull}. */
  open(cost: number): number {
    const sequence = this.#next++;
    this.#places[sequence % this.#places.length] = PENDING;
    this.#costs[sequence % this.#costs.length] = cost;
    return sequence;
  }

  /** The response of a request has come. */
  respond(sequence: number, response: PipelineResponse): void {
    this.#places[sequence % this.#places.length] = response;
    if (!this.#isWriting && sequence === this.#first) void this.#write();
  }

  /** The connection is gone: responses are dropped from now on, each as it comes. */
  break(): void {
    this.#isBroken = true;
    if (!this.#isWriting) void this.#write();
  }

  /** Throws when the state contradicts itself. For tests. */
  invariants(): void {
    const { size } = this;
    const capacity = this.#places.length;
    const first = this.#places[this.#first % capacity];
    const stuck = size > 0 && !this.#isWriting && first !== PENDING;
    if (size < 0 || size > capacity || stuck) {
      throw new SunstarError(
        'SUNSTAR_BROKEN_INVARIANT',
        `The responses lost their order (${size} outstanding).`,
      );
    }
  }

  async #write(): Promise<void> {
    this.#isWriting = true;
    while (this.#first < this.#next) {
      const index = this.#first % this.#places.length;
      const response = this.#places[index];
      if (response === PENDING) break;
      this.#places[index] = null;
      if (response !== null) {
        if (this.#isBroken) drop(response);
        else await this.#tryWrite(response);
      }
      this.#first++;
      this.#written(this.#costs[index]);
    }
    this.#isWriting = false;
  }

  async #tryWrite(response: IOBuf | Uint8Array | string): Promise<void> {
    try {
      await this.#sink.write(response);
    } catch (cause) {
      this.#isBroken = true;
      drop(response);
      this.#failed(cause);
    }
  }
}

/** Frees a response that will not be written; one whose content was taken already is empty. */
function drop(response: IOBuf | Uint8Array | string): void {
  if (response instanceof IOBuf) response[Symbol.dispose]();
}
