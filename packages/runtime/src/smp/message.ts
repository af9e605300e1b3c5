/*
 * A slot: 64 bytes.
 *
 *   word 0      kind (bits 0–7), FAR (bit 8), number of values or offsets (bits 16–31)
 *   word 1      call id of the asking shard             CALL, REPLY, FAILURE, OUT_OF_MEMORY
 *   word 2      service << 16 | method                  CALL, NOTIFY
 *   word 3      place of the payload in the sender's arena when FAR, see wordOf()
 *   word 4–15   the payload when it is not FAR; places of FREE; two doubles of OUT_OF_MEMORY
 */

/** Runs a method and answers. */
export const CALL = 1;
/** Runs a method; nothing comes back. */
export const NOTIFY = 2;
/** The result of a call. */
export const REPLY = 3;
/** What a call threw. */
export const FAILURE = 4;
/** A call failed, and there was no memory to say how: bytes wanted, bytes free. */
export const OUT_OF_MEMORY = 5;
/** Blocks of the receiver that the sender has read. */
export const FREE = 6;
/** The sender has an instance of a service: id, name, methods. */
export const REGISTER = 7;
/** The sender has made room in the ring that the receiver found full. */
export const ROOM = 8;
/** The sender's last message. */
export const BYE = 9;

/** The payload is in a block of the sender's arena. */
export const FAR = 0x100;

/** The word at which the payload begins. */
export const PAYLOAD_WORDS_AT = 4;
/** The byte at which the payload begins. */
export const PAYLOAD_BYTES_AT = 16;
/** The largest payload that travels in the slot itself. */
export const INLINE_BYTES = 48;
/** The largest number of offsets in one FREE. */
export const FREES_PER_MESSAGE = 12;
/** The largest number of arguments of a call. */
export const MAX_ARGUMENTS = 65_535;

/** The word that an offset in an arena travels as: even, because blocks start on multiples of 8, and exact up to 16 GiB. */
export function wordOf(offset: number): number {
  return offset / 4;
}

/** The offset that a word stands for. */
export function offsetOf(word: number): number {
  return (word >>> 0) * 4;
}
