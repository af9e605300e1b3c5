import { SunstarError } from '../errors.js';
import type { Arena, ShardMemory } from '../memory/index.js';
import { Decoder } from './codec/decoder.js';
import { Encoder } from './codec/encoder.js';
import type { MessageLimits } from './codec/limits.js';
import { PeerLender } from './codec/transfer.js';
import type { Link } from './link.js';
import { FAR, MAX_ARGUMENTS, offsetOf, PAYLOAD_BYTES_AT } from './message.js';

/** Encodes messages and sends them. */
export class MessageWriter {
  readonly #memory: ShardMemory;
  readonly #limits: MessageLimits;
  readonly #encoder: Encoder;

  constructor(memory: ShardMemory, limits: MessageLimits) {
    this.#memory = memory;
    this.#limits = limits;
    this.#encoder = new Encoder(memory, limits);
  }

  /** Whether a message is being written; only inside a getter of one of its values. */
  get busy(): boolean {
    return this.#encoder.busy;
  }

  /**
   * Sends the arguments of a call to a peer.
   *
   * @param hurry - See {@link Link.send}.
   * @throws What {@link Encoder.write} throws; then nothing was sent.
   */
  postArguments(
    link: Link,
    kind: number,
    callId: number,
    target: number,
    args: readonly unknown[],
    hurry: boolean,
  ): void {
    const count = args.length;
    if (count > MAX_ARGUMENTS) {
      throw new SunstarError(
        'SUNSTAR_MESSAGE_TOO_LARGE',
        `A call to another shard has at most ${MAX_ARGUMENTS} arguments. Pass an array as one argument.`,
      );
    }
    const encoder = this.#begin();
    for (let index = 0; index < count; index++) encoder.write(args[index], 'arguments', index);
    send(encoder, link, kind, count, callId, target, hurry);
  }

  /**
   * Sends one value to a peer.
   *
   * @param role - What the value is, for error messages.
   * @throws What {@link Encoder.write} throws; then nothing was sent.
   */
  postValue(link: Link, kind: number, callId: number, value: unknown, role: string): void {
    const encoder = this.#begin();
    encoder.write(value, role);
    send(encoder, link, kind, 1, callId, 0, true);
  }

  #begin(): Encoder {
    // A getter of a value that is being written may send a message of its own.
    const encoder = this.#encoder.busy ? new Encoder(this.#memory, this.#limits) : this.#encoder;
    encoder.begin();
    return encoder;
  }
}

function send(
  encoder: Encoder,
  link: Link,
  kind: number,
  count: number,
  callId: number,
  target: number,
  hurry: boolean,
): void {
  const words = encoder.end(kind, count, callId, target);
  // Stopped: a getter of a value has closed the mesh.
  if (!link.stopped && link.send(encoder.image, words, encoder.block, hurry)) {
    encoder.handOver(link.loans);
    return;
  }
  encoder.abort();
  throw new SunstarError(
    link.stopped ? 'SUNSTAR_SHARD_STOPPED' : 'SUNSTAR_SMP_OVERLOADED',
    `A message to shard ${link.peerId} was not sent: the shard has stopped, or too much waits for it.`,
  );
}

/** Opens messages: in the slot, or in the arena of the peer that sent them. */
export class MessageReader {
  readonly #slots: Int32Array;
  readonly #slotBytes: Buffer;
  readonly #slotView: DataView;
  readonly #arenas: readonly Arena[];
  /** By shard number, made when they first send something. */
  readonly #lenders: PeerLender[] = [];
  readonly #decoder = new Decoder();

  /** @param alias - The control block, through an alias that is not shared. */
  constructor(alias: ArrayBuffer, sizeBytes: number, arenas: readonly Arena[]) {
    this.#slots = new Int32Array(alias, 0, sizeBytes >>> 2);
    this.#slotBytes = Buffer.from(alias, 0, sizeBytes);
    this.#slotView = new DataView(alias, 0, sizeBytes);
    this.#arenas = arenas;
  }

  /** The words of all slots. */
  get slots(): Int32Array {
    return this.#slots;
  }

  /** A decoder at the first value of the message in a slot; good until the next message is opened. */
  open(link: Link, slot: number): Decoder {
    this.#decoder.lender = this.#lenders[link.peerId] ??= new PeerLender(link, this.#arenas[link.peerId]);
    if ((this.#slots[slot] & FAR) === 0) {
      this.#decoder.begin(this.#slotBytes, this.#slotView, slot * 4 + PAYLOAD_BYTES_AT);
    } else {
      const arena = this.#arenas[link.peerId];
      this.#decoder.begin(arena.bytes, arena.view, offsetOf(this.#slots[slot + 3]));
    }
    return this.#decoder;
  }

  /** A number of an answer that has no values: see OUT_OF_MEMORY in message.ts. */
  float(slot: number, index: number): number {
    return this.#slotView.getFloat64(slot * 4 + PAYLOAD_BYTES_AT + index * 8, true);
  }

  /** Says that a message was read: its block can go home. */
  done(link: Link, slot: number): void {
    this.#decoder.end();
    if ((this.#slots[slot] & FAR) !== 0) link.giveBack(offsetOf(this.#slots[slot + 3]));
  }
}
