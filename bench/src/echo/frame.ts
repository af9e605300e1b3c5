/** A message: its length as a 32-bit little-endian number, and so many bytes. */
export const HEADER_BYTES = 4;
/** The size of every message of the benchmark, header included. */
export const MESSAGE_BYTES = 64;
/** A peer that announces more is cut off. */
export const MAX_PAYLOAD_BYTES = 65_536;

/**
 * Parses every message in `[start, end)`.
 *
 * @param lengthAt - Reads the length at a position of the input. Each server gives what is the fastest way where it
 *   runs: one function in a process, so that the compiler puts it in place.
 * @returns Where the first incomplete one begins; −1 when a length is not allowed.
 */
export function parseMessages<Input>(
  input: Input,
  lengthAt: (input: Input, at: number) => number,
  start: number,
  end: number,
): number {
  let at = start;
  while (end - at >= HEADER_BYTES) {
    const length = lengthAt(input, at);
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
