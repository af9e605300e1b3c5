import { type Completion, IoRequest, IoRequestList } from '@sunstar/runtime';

/** What a {@link FileOperation} reports to. */
export interface OperationOwner {
  completed(operation: FileOperation, result: number): void;
  /** The result is there, but its group has no turn yet. */
  resultArrived(operation: FileOperation, result: number): void;
  /** Gives the operation, or what is left of it, to the ring. */
  start(operation: FileOperation): void;
}

/** The operations of one scheduling group on one file: others do not wait behind them. */
export class Lane {
  readonly groupId: number;
  readonly waiting: IoRequestList = new IoRequestList();
  inFlight = 0;

  constructor(groupId: number) {
    this.groupId = groupId;
  }
}

/**
 * One operation on a file. Reads and writes go on until they are complete, at the end of the file, or failed:
 * interrupted and short ones are continued where they stopped. Pooled.
 */
export class FileOperation extends IoRequest implements Completion {
  target: Completion | null = null;
  lane: Lane;
  opcode = 0;
  address = 0;
  length = 0;
  offset = 0;
  opFlags = 0;
  /** Bytes a read or write is to move; 0 for other operations. */
  total = 0;
  /** Bytes it has moved. */
  done = 0;
  retries = 0;
  /** Whether the queue of the device counts it. */
  isScheduled = false;
  /** Whether it makes the file longer, and is counted as such. */
  isGrowing = false;
  readonly #owner: OperationOwner;

  constructor(owner: OperationOwner, lane: Lane) {
    super();
    this.#owner = owner;
    this.lane = lane;
  }

  /** Its turn on the device. */
  start(): void {
    this.#owner.start(this);
  }

  complete(result: number): void {
    this.#owner.completed(this, result);
  }

  arrived(result: number): void {
    this.#owner.resultArrived(this, result);
  }
}
