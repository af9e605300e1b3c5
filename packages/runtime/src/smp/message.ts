/*
 * A slot: 64 bytes.
 *
 *   word 0      kind (bits 0–7), FAR, OPTIONS, FIELDS, SHORT (bits 8–11), number of values or offsets (bits 16–31)
 *   word 1      call id of the asking shard             CALL, REPLY, FAILURE, OUT_OF_MEMORY
 *               how often more, with arguments each     NOTIFY that is SHORT
 *               token of a value that moved             TO_LENDER, TO_HOLDER
 *   word 2      method, service, scheduling group       CALL, NOTIFY; see targetOf()
 *               load of the answering shard             REPLY, FAILURE, OUT_OF_MEMORY; see load-word.ts
 *               event, and a number of it               TO_LENDER, TO_HOLDER
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

/** The holder of a value that moved tells its lender something. */
export const TO_LENDER = 10;
/** The lender of a value that moved tells its holder something. */
export const TO_HOLDER = 11;

/** The payload is in a block of the sender's arena. */
export const FAR = 0x100;
/** Before the arguments there is what the call was given besides: see CallState. */
export const OPTIONS = 0x200;
/** After the result there are fields that the service declares: see fields.ts. */
export const FIELDS = 0x400;
/** The payload is in the slot and holds but numbers, short strings, booleans, null and undefined: see short-values.ts. */
export const SHORT = 0x800;

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

const METHOD_BITS = 12;
const GROUP_SHIFT = 24;
/** The largest number of services of a shard, and of methods of a service. */
export const MAX_NAMES: number = 1 << METHOD_BITS;
const NAME_MASK = MAX_NAMES - 1;

/** A method of a service, as a number that is not negative. The bits above are the scheduling group of a call. */
export function targetOf(service: number, method: number): number {
  return (service << METHOD_BITS) | method;
}

/** The service of a target. */
export function serviceOf(target: number): number {
  return (target >>> METHOD_BITS) & NAME_MASK;
}

/** The method of a target. */
export function methodOf(target: number): number {
  return target & NAME_MASK;
}

/** A target, to be run in a scheduling group. */
export function inGroup(target: number, groupId: number): number {
  return target | (groupId << GROUP_SHIFT);
}

/** The scheduling group of a call. */
export function groupOf(word: number): number {
  return word >>> GROUP_SHIFT;
}

/** The target of a call, without its group. */
export function withoutGroup(word: number): number {
  return word & ((1 << GROUP_SHIFT) - 1);
}

/** A word of an event: what happened in the lower bits, a number above. */
export const EVENT_BITS = 4;
export const EVENT_MASK: number = (1 << EVENT_BITS) - 1;
