const TAB = 0x09;
const SPACE = 0x20;
const DOUBLE_QUOTE = 0x22;
const SINGLE_QUOTE = 0x27;
const BACKSLASH = 0x5c;

/** `\n`, `\r`, `\t`, `\b` and `\a`; any other escaped byte stands for itself. */
const ESCAPES: Readonly<Record<number, number>> = { 110: 0x0a, 114: 0x0d, 116: 0x09, 98: 0x08, 97: 0x07 };

/**
 * Splits the line of an inline command into words, as Redis does: blanks separate words; between double quotes
 * blanks count and `\n \r \t \b \a \xHH \" \\` are escapes; between single quotes only `\'` is one. A closing
 * quote must end the word.
 *
 * A word is never longer than its source, so it is resolved in place, over the bytes of the line.
 *
 * @param argv - Receives offset and length of each word.
 * @param wordsMax - No more than this many are stored.
 * @returns The number of words; more than `wordsMax` when there are too many; −1 when a quote is not closed.
 */
export function splitInline(
  bytes: Buffer,
  start: number,
  end: number,
  argv: Uint32Array,
  wordsMax: number,
): number {
  let count = 0;
  for (let at = start; ; ) {
    while (at < end && isBlank(bytes[at])) at++;
    if (at >= end) return count;
    if (count === wordsMax) return count + 1;
    const word = at;
    let target = at;
    while (at < end && !isBlank(bytes[at])) {
      const byte = bytes[at++];
      if (byte !== DOUBLE_QUOTE && byte !== SINGLE_QUOTE) {
        bytes[target++] = byte;
        continue;
      }
      for (;;) {
        if (at >= end) return -1;
        let inner = bytes[at++];
        if (inner === byte) break;
        if (inner === BACKSLASH && at < end) {
          if (byte === SINGLE_QUOTE) {
            if (bytes[at] === SINGLE_QUOTE) inner = bytes[at++];
          } else if (isHexEscape(bytes, at, end)) {
            inner = (hexDigit(bytes[at + 1]) << 4) | hexDigit(bytes[at + 2]);
            at += 3;
          } else {
            inner = ESCAPES[bytes[at]] ?? bytes[at];
            at++;
          }
        }
        bytes[target++] = inner;
      }
      if (at < end && !isBlank(bytes[at])) return -1;
    }
    argv[2 * count] = word;
    argv[2 * count + 1] = target - word;
    count++;
  }
}

function isBlank(byte: number): boolean {
  return byte === SPACE || (byte >= TAB && byte <= 0x0d) || byte === 0;
}

function isHexEscape(bytes: Buffer, at: number, end: number): boolean {
  return at + 2 < end && bytes[at] === 0x78 && hexDigit(bytes[at + 1]) >= 0 && hexDigit(bytes[at + 2]) >= 0;
}

/** The value of a hexadecimal digit, −1 for other bytes. */
function hexDigit(byte: number): number {
  if (byte >= 0x30 && byte <= 0x39) return byte - 0x30;
  const letter = byte | 0x20;
  return letter >= 0x61 && letter <= 0x66 ? letter - 0x57 : -1;
}
