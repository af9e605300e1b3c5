/** A message: its length as a 32-bit little-endian number, and so many bytes. */
export const HEADER_BYTES = 4;
/** The size of every message of the benchmark, header included. */
export const MESSAGE_BYTES = 64;
/** A peer that announces more is cut off. */
export const MAX_PAYLOAD_BYTES = 65_536;

/**
 * Parses every message in `bytes[start, end)`.
 *
 * @returns Where the first incomplete one begins; −1 when a length is not allowed.
 */
export function parseMessages(bytes: Uint8Array, start: number, end: number): number {
  let at = start;
  while (end - at >= HEADER_BYTES) {
    const length = bytes[at] | (bytes[at + 1] << 8) | (bytes[at + 2] << 16) | (bytes[at + 3] << 24);
    if (length < 0 || length > MAX_PAYLOAD_BYTES) return -1;
    const next = at + HEADER_BYTES + length;
    if (next > end) break;
    at = next;
  }
  return at;
}

/** One message of the benchmark. */
export function makeMessage(): Uint8Array {
  const message = new Uint8Array(MESSAGE_BYTES).fill(0x61);
  new DataView(message.buffer).setUint32(0, MESSAGE_BYTES - HEADER_BYTES, true);
  return message;
}
