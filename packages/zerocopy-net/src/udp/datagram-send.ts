import { IOBuf } from '@sunstar/iobuf';
import { type Completion, IORING_CQE_F, IORING_OP, type ShardMemory } from '@sunstar/runtime';
import type { Network } from '../network.js';
import { NAME_BYTES } from './datagram.js';

const MSG_NOSIGNAL = 0x4000;
const SOL_UDP = 17;
const UDP_SEGMENT = 103;
const TWO_POW_32 = 4294967296;
/** A block of memory for each send: header, name, control data, scatter list. */
const BLOCK_BYTES = 1024;
const NAME_AT = 64;
const CONTROL_AT = 96;
const CONTROL_BYTES = 24;
const VECTOR_AT = 128;
/** The most fragments of one send. */
export const MAX_DATAGRAM_FRAGMENTS: number = (BLOCK_BYTES - VECTOR_AT) / 16;

/** Whom a {@link DatagramSend} works for. */
export interface DatagramSendOwner {
  /** The send is over: what it held is free. */
  sendEnded(send: DatagramSend, result: number): void;
}

/** One `sendmsg`, with or without a copy; used again and again. */
export class DatagramSend implements Completion {
  /** What is sent; empty between sends. */
  readonly content: IOBuf;
  readonly #network: Network;
  readonly #owner: DatagramSendOwner;
  readonly #block: number;
  #fd = -1;
  #result = 0;
  #isZeroCopy = false;
  #lockedBytes = 0;

  constructor(network: Network, owner: DatagramSendOwner) {
    this.#network = network;
    this.#owner = owner;
    this.#block = network.memory.allocate(BLOCK_BYTES);
    this.content = new IOBuf(network.memory);
  }

  /** Where the receiver's `sockaddr` is to be written, {@link NAME_BYTES} bytes at most. */
  get name(): Buffer {
    const at = this.#block + NAME_AT;
    return this.#network.memory.bytes.subarray(at, at + NAME_BYTES);
  }

  /** @param segmentBytes - Has the kernel cut the content into datagrams of this size; 0 sends one. */
  submit(fd: number, nameBytes: number, segmentBytes: number, isZeroCopy: boolean): void {
    const { memory } = this.#network;
    writeHeader(memory, this.#block, nameBytes, segmentBytes > 0 ? CONTROL_BYTES : 0, this.content);
    if (segmentBytes > 0) writeSegmentSize(memory, this.#block + CONTROL_AT, segmentBytes);
    this.#fd = fd;
    this.#isZeroCopy = isZeroCopy;
    if (isZeroCopy) {
      this.#lockedBytes = this.content.sizeBytes;
      this.#network.zeroCopy.lockedMemory.add(this.#lockedBytes);
    }
    this.#submit();
  }

  #submit(): void {
    const { reactor, memory } = this.#network;
    const opcode = this.#isZeroCopy ? IORING_OP.SENDMSG_ZC : IORING_OP.SENDMSG;
    reactor.submit(this, opcode, this.#fd, memory.arena.address + this.#block, 1, 0, MSG_NOSIGNAL);
  }

  complete(result: number, flags: number): void {
    if ((flags & IORING_CQE_F.NOTIF) === 0) this.#result = result;
    // The memory is held until the notification, if one is announced.
    if ((flags & IORING_CQE_F.MORE) !== 0) return;
    if (this.#isZeroCopy) {
      this.#network.zeroCopy.lockedMemory.remove(this.#lockedBytes);
      this.#isZeroCopy = false;
      if (this.#result < 0) {
        // Whatever the reason, it can still be copied.
        this.#submit();
        return;
      }
    }
    this.content.clear();
    this.#owner.sendEnded(this, this.#result);
  }

  /** Frees its memory; only between sends. */
  dispose(): void {
    this.content[Symbol.dispose]();
    this.#network.memory.free(this.#block);
  }
}

function writeHeader(
  memory: ShardMemory,
  block: number,
  nameBytes: number,
  controlBytes: number,
  content: IOBuf,
): void {
  const { view, address } = memory.arena;
  const count =
    content.fragmentCount === 0 ? 0 : content.writeIovecs(block + VECTOR_AT, MAX_DATAGRAM_FRAGMENTS);
  setAddress(view, block, address + block + NAME_AT);
  setAddress(view, block + 8, nameBytes);
  setAddress(view, block + 16, address + block + VECTOR_AT);
  setAddress(view, block + 24, count);
  setAddress(view, block + 32, controlBytes > 0 ? address + block + CONTROL_AT : 0);
  setAddress(view, block + 40, controlBytes);
  setAddress(view, block + 48, 0);
}

/** A control message with the size of the kernel's segments (GSO). */
function writeSegmentSize(memory: ShardMemory, at: number, segmentBytes: number): void {
  const { view } = memory.arena;
  setAddress(view, at, 18);
  view.setUint32(at + 8, SOL_UDP, true);
  view.setUint32(at + 12, UDP_SEGMENT, true);
  setAddress(view, at + 16, segmentBytes);
}

function setAddress(view: DataView, at: number, value: number): void {
  view.setUint32(at, value, true);
  view.setUint32(at + 4, value / TWO_POW_32, true);
}
