import { type Completion, ERRNO, IORING_CQE_F, IORING_OP, type ShardMemory } from '@sunstar/runtime';
import type { NetworkShard } from '../../src/network.ts';

/** An operation that was submitted and has not completed. */
export interface FakeOperation {
  readonly id: number;
  readonly completion: Completion;
  readonly opcode: number;
  readonly fd: number;
  /** Sends: the bytes at the time of submission, and where they lie. */
  readonly ranges: readonly { readonly offset: number; readonly content: Buffer }[];
  cancelled: boolean;
  /** Its last result waits for a turn. */
  isOver: boolean;
  /** Of a zero-copy send that has completed: how much of it must not change before its notification. */
  readonly acceptedBytes: number;
}

function check(condition: boolean, message: string): asserts condition {
  if (!condition) throw new Error(message);
}

/**
 * Plays the reactor and the kernel of one socket: operations complete when, and with what, the test
 * decides. It checks what the kernel would be hurt by: bytes that change while they are being sent,
 * two sends at once, a descriptor that is closed with operations in flight.
 */
export class FakeKernel {
  readonly shard: NetworkShard;
  readonly operations = new Map<number, FakeOperation>();
  /** Zero-copy sends that have completed and are not notified: their memory must stay as it is. */
  notifications: FakeOperation[] = [];
  /** Everything that sends took, in order. */
  sent: Buffer[] = [];
  finSent = false;
  closes: (() => void)[] = [];
  closedDescriptors: number[] = [];
  /** Descriptors with zero-copy sends in flight, as native code is told. */
  readonly marked = new Set<number>();
  references = 0;
  nowMs = 1000;
  logged = 0;
  /** Results of receives wait for a turn, as with several scheduling groups: `arrived` now, `complete` in a later step. */
  isGrouped = false;

  readonly #memory: ShardMemory;
  #deferred: Completion[] = [];
  #nextId = 1;
  #ring: DataView = new DataView(new ArrayBuffer(0));
  #ringEntries = 0;
  #ringHead = 0;
  #isIncremental = false;
  #queued: (() => void)[] = [];

  /** @param canBeIncremental - Whether buffers may be used up bit by bit, as since Linux 6.12. */
  constructor(memory: ShardMemory, canBeIncremental = true) {
    this.#memory = memory;
    const kernel = this;
    const log = (): void => {
      this.logged++;
    };
    this.shard = {
      memory,
      count: 1,
      log: { error: log, warn: log, info: log, debug: log },
      reactor: {
        get nowMs(): number {
          return kernel.nowMs;
        },
        ref: () => {
          this.references++;
        },
        unref: () => {
          this.references--;
        },
        defer: (task) => {
          this.#deferred.push(task);
        },
        submit: (completion, opcode, fd, address, length) =>
          this.#submit(completion, opcode, fd, address, length),
        submitAtOnce: (completion, opcode, fd, address, length) =>
          this.#submit(completion, opcode, fd, address, length),
        cancel: (id) => {
          const operation = this.operations.get(id);
          if (operation !== undefined) operation.cancelled = true;
        },
        allocateBufferGroup: () => 7,
        close: (fd) => void this.#close(fd),
        closeAndWait: (fd) => this.#close(fd),
        ring: {
          registerBufferRing: (_group: number, entries: number, isIncremental: boolean) => {
            if (isIncremental && !canBeIncremental) return -ERRNO.EINVAL;
            this.#isIncremental = isIncremental;
            const ring = new ArrayBuffer(entries * 16);
            this.#ring = new DataView(ring);
            this.#ringEntries = entries;
            return ring;
          },
          unregisterBufferRing: () => 0,
          probe: () => new Uint8Array(256).fill(1),
        } as unknown as NetworkShard['reactor']['ring'],
        registrations: {
          registerMemory: () => 0,
        } as unknown as NetworkShard['reactor']['registrations'],
        descriptors: {
          own() {},
          disown() {},
          owns: () => false,
        } as unknown as NetworkShard['reactor']['descriptors'],
        zeroCopy: {
          own: (fd: number) => this.marked.add(fd),
          disown: (fd: number) => this.marked.delete(fd),
          owns: (fd: number) => this.marked.has(fd),
        } as unknown as NetworkShard['reactor']['descriptors'],
      },
    };
  }

  /** Starts over with another socket; the buffer ring stays. */
  reset(): void {
    this.operations.clear();
    this.#queued = [];
    this.notifications = [];
    this.sent = [];
    this.finSent = false;
    this.closes = [];
    this.closedDescriptors = [];
  }

  find(opcode: number): FakeOperation | undefined {
    for (const operation of this.operations.values())
      if (operation.opcode === opcode && !operation.isOver) return operation;
    return undefined;
  }

  get send(): FakeOperation | undefined {
    return (
      this.find(IORING_OP.SEND) ??
      this.find(IORING_OP.SENDMSG) ??
      this.find(IORING_OP.SEND_ZC) ??
      this.find(IORING_OP.SENDMSG_ZC)
    );
  }

  /** Runs what was deferred, and what that defers, once each. */
  tick(): void {
    const tasks = this.#deferred;
    this.#deferred = [];
    for (const task of tasks) task.complete(0, 0);
  }

  get hasDeferred(): boolean {
    return this.#deferred.length > 0;
  }

  complete(operation: FakeOperation, result: number, flags = 0): void {
    if ((flags & IORING_CQE_F.MORE) === 0) this.operations.delete(operation.id);
    operation.completion.complete(result, flags);
  }

  /**
   * Completes the send with at most so many bytes, or an error; checks the bytes. A zero-copy send that failed is
   * notified all the same if `isNotified`.
   */
  completeSend(result: number, isNotified = true): number {
    const operation = this.send;
    if (operation === undefined) return 0;
    this.#checkBytes(operation, Number.MAX_SAFE_INTEGER);
    let left = result;
    for (const { content } of operation.ranges) {
      if (left <= 0) break;
      this.sent.push(content.subarray(0, left));
      left -= Math.min(left, content.length);
    }
    const done = result > 0 ? result - left : result;
    const isZeroCopy = operation.opcode === IORING_OP.SEND_ZC || operation.opcode === IORING_OP.SENDMSG_ZC;
    if (isZeroCopy && (done > 0 || isNotified)) {
      this.operations.delete(operation.id);
      // What failed may have been read in part, and is not the sender's again before the notification either.
      this.notifications.push({ ...operation, acceptedBytes: done > 0 ? done : Number.MAX_SAFE_INTEGER });
      operation.completion.complete(done, IORING_CQE_F.MORE);
    } else this.complete(operation, done);
    return done;
  }

  /** Says that the memory of a zero-copy send may be used again. */
  notify(index: number): void {
    const [operation] = this.notifications.splice(index % Math.max(1, this.notifications.length), 1);
    if (operation === undefined) return;
    this.#checkBytes(operation, operation.acceptedBytes);
    operation.completion.complete(0, IORING_CQE_F.NOTIF);
  }

  #checkBytes({ ranges }: FakeOperation, sizeBytes: number): void {
    let left = sizeBytes;
    for (const { offset, content } of ranges) {
      const length = Math.min(left, content.length);
      const now = this.#memory.bytes.subarray(offset, offset + length);
      check(now.equals(content.subarray(0, length)), 'bytes changed while the kernel was sending them');
      left -= length;
    }
  }

  /**
   * Receives pieces of data into provided buffers, all of them before the first completion is seen, as
   * the kernel does while a tick runs. `more` false ends the receive with the last piece; so does a want
   * of buffers. Returns how many bytes were received; −1 when no receive is in flight.
   */
  receive(pieces: readonly Buffer[], more: boolean): number {
    const operation = this.find(IORING_OP.RECV);
    if (operation === undefined) return -1;
    const completions: { result: number; flags: number }[] = [];
    for (const data of pieces) {
      // A piece that does not fit into the rest of a buffer goes on in the next one.
      for (let at = 0; at < data.length; ) {
        const filled = this.#fillBuffer(data.subarray(at));
        if (filled === undefined) {
          completions.push({ result: -ERRNO.ENOBUFS, flags: 0 });
          break;
        }
        completions.push({ result: filled.sizeBytes, flags: filled.flags | IORING_CQE_F.MORE });
        at += filled.sizeBytes;
      }
      if (completions.at(-1)?.result === -ERRNO.ENOBUFS) break;
    }
    const last = completions.at(-1);
    if (!more && last !== undefined) last.flags &= ~IORING_CQE_F.MORE;
    let received = 0;
    for (const { result, flags } of completions) {
      if (result > 0) received += result;
      this.#deliver(operation, result, flags);
    }
    return received;
  }

  /** Ends the receive without data; at the end of the input a buffer comes along, as the kernel does it. */
  endReceive(operation: FakeOperation, result: number): void {
    if (result === 0 && this.#ringHead !== this.#ring.getUint16(14, true)) {
      const id = this.#ring.getUint16((this.#ringHead & (this.#ringEntries - 1)) * 16 + 12, true);
      if (!this.#isIncremental) this.#ringHead = (this.#ringHead + 1) & 0xffff;
      this.#deliver(operation, 0, IORING_CQE_F.BUFFER | (id << 16));
    } else this.#deliver(operation, result, 0);
  }

  /** Gives the operation's turn to the oldest result that waits for one; false when there is none. */
  deliverNext(): boolean {
    const next = this.#queued.shift();
    next?.();
    return next !== undefined;
  }

  #deliver(operation: FakeOperation, result: number, flags: number): void {
    if (!this.isGrouped && this.#queued.length === 0) {
      this.complete(operation, result, flags);
      return;
    }
    operation.completion.arrived?.(result, flags);
    if ((flags & IORING_CQE_F.MORE) === 0) operation.isOver = true;
    this.#queued.push(() => this.complete(operation, result, flags));
  }

  #fillBuffer(data: Buffer): { sizeBytes: number; flags: number } | undefined {
    const ring = this.#ring;
    if (this.#ringHead === ring.getUint16(14, true)) return undefined;
    const at = (this.#ringHead & (this.#ringEntries - 1)) * 16;
    const address = ring.getUint32(at, true) + ring.getUint32(at + 4, true) * 4294967296;
    const room = ring.getUint32(at + 8, true);
    const sizeBytes = Math.min(data.length, room);
    this.#memory.bytes.set(data.subarray(0, sizeBytes), address - this.#memory.arena.address);
    const flags = IORING_CQE_F.BUFFER | (ring.getUint16(at + 12, true) << 16);
    if (this.#isIncremental && sizeBytes < room) {
      const next = address + sizeBytes;
      ring.setUint32(at, next % 4294967296, true);
      ring.setUint32(at + 4, next / 4294967296, true);
      ring.setUint32(at + 8, room - sizeBytes, true);
      return { sizeBytes, flags: flags | IORING_CQE_F.BUF_MORE };
    }
    this.#ringHead = (this.#ringHead + 1) & 0xffff;
    return { sizeBytes, flags };
  }

  #submit(completion: Completion, opcode: number, fd: number, address: number, length: number): number {
    check(!this.closedDescriptors.includes(fd), `operation ${opcode} on a closed descriptor`);
    const id = this.#nextId++;
    const base = this.#memory.arena.address;
    const ranges: { offset: number; content: Buffer }[] = [];
    const take = (offset: number, size: number): void => {
      check(size > 0, 'an empty range is sent');
      ranges.push({ offset, content: Buffer.from(this.#memory.bytes.subarray(offset, offset + size)) });
    };
    if (
      opcode === IORING_OP.SEND ||
      opcode === IORING_OP.SENDMSG ||
      opcode === IORING_OP.SEND_ZC ||
      opcode === IORING_OP.SENDMSG_ZC
    ) {
      check(this.send === undefined, 'two sends in flight');
      check(!this.finSent && this.find(IORING_OP.SHUTDOWN) === undefined, 'a send after FIN');
      const { view } = this.#memory.arena;
      const word64 = (at: number): number =>
        view.getUint32(at, true) + view.getUint32(at + 4, true) * 4294967296;
      if (opcode === IORING_OP.SEND || opcode === IORING_OP.SEND_ZC) {
        take(address - base, length);
      } else {
        const header = address - base;
        const vector = word64(header + 16) - base;
        for (let i = 0; i < word64(header + 24); i++) {
          take(word64(vector + i * 16) - base, word64(vector + i * 16 + 8));
        }
      }
    } else if (opcode === IORING_OP.RECV) {
      for (const other of this.operations.values())
        check(other.opcode !== IORING_OP.RECV, 'two receives in flight');
    } else {
      check(opcode === IORING_OP.SHUTDOWN, `unexpected operation ${opcode}`);
      check(this.send === undefined, 'FIN while a send is in flight');
    }
    this.operations.set(id, {
      id,
      completion,
      opcode,
      fd,
      ranges,
      cancelled: false,
      isOver: false,
      acceptedBytes: 0,
    });
    return id;
  }

  #close(fd: number): Promise<number> {
    check(this.operations.size === 0, 'closed with operations in flight');
    check(this.notifications.length === 0, 'closed before its notifications');
    check(!this.marked.has(fd), 'closed, but still marked for zero copy');
    check(!this.closedDescriptors.includes(fd), 'closed twice');
    this.closedDescriptors.push(fd);
    return new Promise((resolve) => {
      this.closes.push(() => resolve(0));
    });
  }
}
