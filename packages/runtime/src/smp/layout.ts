import { SunstarError } from '../errors.js';

/*
 * The control block: one SharedArrayBuffer through which all shards of a runtime talk.
 *
 *   line 0            magic, number of shards, slots per ring
 *   per shard         line 0: ring descriptor, state          (written once, read rarely)
 *                     line 1: sleeping flag                   (written by its shard, read by all)
 *   per ordered pair  line 0: tail                            (written by the producer)
 *                     `slots` lines: the messages             (written by the producer)
 *                     last line: head, room wanted            (written by the consumer)
 *
 * A line is 64 bytes, the unit in which cores exchange memory: what two shards write lies on two lines.
 */

/** Bytes of one slot, and of one cache line. */
export const SLOT_BYTES = 64;
/** 32-bit words of one slot, and of one cache line. */
export const SLOT_WORDS = 16;
/** The fewest slots of a ring unless the control block was made with another number: see {@link defaultSlots}. */
const DEFAULT_SLOTS_LEAST = 128;
/** The most slots of a ring unless the control block was made with another number. */
const DEFAULT_SLOTS_MOST = 1024;
/** Memory of all rings with more slots than the fewest, at most. */
const RING_BYTES = 16 * 1024 * 1024;
/** The largest number of slots of a ring. */
export const MAX_SLOTS = 65_536;
/** The largest number of shards in one control block. */
export const MAX_SHARDS = 1024;

/** The shard has not built its mesh yet. */
export const SHARD_STARTING = 0;
/** The shard takes calls. */
export const SHARD_RUNNING = 1;
/** The shard has closed its mesh and reads nothing any more. */
export const SHARD_STOPPED = 2;

const MAGIC = 0x5353_4d50;
const SHARD_LINES = 2;
const RING_LINES = 2;

/**
 * Slots of a ring by default: 1024 for up to 16 shards, then fewer so that all rings take 16 MiB at most, down to 128
 * for more than 32. A message that finds its ring full costs twice as much as one that does not, and a burst of
 * hundreds of calls is common.
 */
export function defaultSlots(shardCount: number): number {
  let slots = DEFAULT_SLOTS_MOST;
  while (slots > DEFAULT_SLOTS_LEAST && shardCount * (shardCount - 1) * slots * SLOT_BYTES > RING_BYTES)
    slots /= 2;
  return slots;
}

// `lib` is ES2023, this option is ES2024; every supported Node has it.
const GrowableSharedArrayBuffer = SharedArrayBuffer as new (
  sizeBytes: number,
  options: { maxByteLength: number },
) => SharedArrayBuffer;

/** Where everything lies in a control block; all results are indices of 32-bit words. */
export class ControlLayout {
  /** Number of shards that share the block. */
  readonly shardCount: number;
  /** Slots of each ring, a power of two. */
  readonly slots: number;

  /** @throws SunstarError `SUNSTAR_INVALID_OPTION` when a number is out of range. */
  constructor(shardCount: number, slots: number = defaultSlots(shardCount)) {
    if (!Number.isInteger(shardCount) || shardCount < 1 || shardCount > MAX_SHARDS) {
      throw new SunstarError(
        'SUNSTAR_INVALID_OPTION',
        `A control block is for 1 to ${MAX_SHARDS} shards, not ${shardCount}.`,
      );
    }
    if (!Number.isInteger(slots) || slots < 2 || slots > MAX_SLOTS || (slots & (slots - 1)) !== 0) {
      throw new SunstarError(
        'SUNSTAR_INVALID_OPTION',
        `A cross-shard ring has 2 to ${MAX_SLOTS} slots, a power of two, not ${slots}.`,
      );
    }
    this.shardCount = shardCount;
    this.slots = slots;
  }

  /** Reads the layout that a control block was made with. */
  static of(control: SharedArrayBuffer): ControlLayout {
    const words = new Int32Array(control, 0, Math.min(SLOT_WORDS, control.byteLength >>> 2));
    if (words.length < SLOT_WORDS || words[0] !== MAGIC) {
      throw new SunstarError(
        'SUNSTAR_INVALID_CONTROL_BLOCK',
        'This SharedArrayBuffer is no control block. Make it with createControlBlock().',
      );
    }
    const layout = new ControlLayout(words[1], words[2]);
    if (control.byteLength < layout.sizeBytes) {
      throw new SunstarError(
        'SUNSTAR_INVALID_CONTROL_BLOCK',
        `The control block has ${control.byteLength} bytes, ${layout.sizeBytes} are needed for ` +
          `${layout.shardCount} shards with ${layout.slots} slots. Make it with createControlBlock().`,
      );
    }
    return layout;
  }

  /** Writes what {@link ControlLayout.of} reads. */
  describe(control: SharedArrayBuffer): void {
    const words = new Int32Array(control, 0, SLOT_WORDS);
    words[0] = MAGIC;
    words[1] = this.shardCount;
    words[2] = this.slots;
  }

  /** Bytes of the whole block. */
  get sizeBytes(): number {
    const pairs = this.shardCount * (this.shardCount - 1);
    return (1 + this.shardCount * SHARD_LINES + pairs * (this.slots + RING_LINES)) * SLOT_BYTES;
  }

  /** The descriptor of the shard's ring, which a peer needs to wake it; the reactor writes it. */
  ringDescriptorWord(shardId: number): number {
    return (1 + shardId * SHARD_LINES) * SLOT_WORDS;
  }

  /** One of the `SHARD_…` states. */
  stateWord(shardId: number): number {
    return this.ringDescriptorWord(shardId) + 1;
  }

  /** 1 while the shard sleeps, or is about to. */
  sleepWord(shardId: number): number {
    return this.ringDescriptorWord(shardId) + SLOT_WORDS;
  }

  /** The tail of the ring from one shard to another: how many messages were ever written. */
  tailWord(from: number, to: number): number {
    const ring = to * (this.shardCount - 1) + (from < to ? from : from - 1);
    const line = 1 + this.shardCount * SHARD_LINES + ring * (this.slots + RING_LINES);
    return line * SLOT_WORDS;
  }

  /** The first slot of the ring from one shard to another. */
  slotsWord(from: number, to: number): number {
    return this.tailWord(from, to) + SLOT_WORDS;
  }

  /** The head of the ring from one shard to another: how many messages were ever read. */
  headWord(from: number, to: number): number {
    return this.slotsWord(from, to) + this.slots * SLOT_WORDS;
  }

  /** 1 when the producer found the ring full and wants to hear of room; beside the head. */
  roomWantedWord(from: number, to: number): number {
    return this.headWord(from, to) + 1;
  }
}

/**
 * Empties the rings to and from a shard whose thread has ended, so that another thread can take its place. Only when every
 * other shard has been told that it is gone (`Mesh.peerGone`) and not yet that it is back (`Mesh.peerBack`): until then
 * nobody else touches them.
 */
export function resetShard(control: SharedArrayBuffer, shardId: number): void {
  const layout = ControlLayout.of(control);
  const words = new Int32Array(control, 0, layout.sizeBytes >>> 2);
  Atomics.store(words, layout.ringDescriptorWord(shardId), 0);
  Atomics.store(words, layout.stateWord(shardId), SHARD_STARTING);
  Atomics.store(words, layout.sleepWord(shardId), 0);
  for (let peerId = 0; peerId < layout.shardCount; peerId++) {
    if (peerId === shardId) continue;
    for (const [from, to] of [
      [shardId, peerId],
      [peerId, shardId],
    ]) {
      Atomics.store(words, layout.tailWord(from, to), 0);
      Atomics.store(words, layout.headWord(from, to), 0);
      Atomics.store(words, layout.roomWantedWord(from, to), 0);
    }
  }
}

/**
 * Bytes of the control block for this many shards: every ordered pair of shards costs `slots + 2` lines
 * of 64 bytes; `slots` is {@link defaultSlots} unless it is given.
 */
export function controlBlockBytes(shardCount: number, slots?: number): number {
  return new ControlLayout(shardCount, slots).sizeBytes;
}

/**
 * Makes the control block of a runtime, zeroed and described. It is allocated as a growable buffer that
 * never grows, because only those are aligned to pages, and so to cache lines.
 */
export function createControlBlock(shardCount: number, slots?: number): SharedArrayBuffer {
  const layout = new ControlLayout(shardCount, slots);
  const control = new GrowableSharedArrayBuffer(layout.sizeBytes, { maxByteLength: layout.sizeBytes });
  layout.describe(control);
  return control;
}
