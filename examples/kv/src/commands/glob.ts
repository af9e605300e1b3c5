const ASTERISK = 0x2a;
const QUESTION_MARK = 0x3f;
const OPENING_BRACKET = 0x5b;
const CLOSING_BRACKET = 0x5d;
const BACKSLASH = 0x5c;
const CARET = 0x5e;
const DASH = 0x2d;

/** A pattern, or a text, in some buffer. */
export interface ByteRange {
  readonly bytes: Uint8Array;
  readonly offset: number;
  readonly length: number;
}

/** A whole buffer as a range. */
export function wholeOf(bytes: Uint8Array): ByteRange {
  return { bytes, offset: 0, length: bytes.length };
}

/**
 * Matches bytes against a glob as Redis does: `*` any bytes, `?` one byte, `[abc]`, `[a-z]`, `[^a]` one byte of
 * a set, `\` takes the next byte literally. A bracket that is not closed ends with the pattern.
 *
 * When something does not fit, only the last `*` is stretched: an earlier one need never be reconsidered, since
 * the last one can take on whatever the earlier would have. So the time is at most the product of the lengths,
 * for any pattern, where backtracking over all asterisks would be exponential.
 */
export function globMatches(pattern: ByteRange, text: Uint8Array, offset: number, length: number): boolean {
  const { bytes } = pattern;
  const patternEnd = pattern.offset + pattern.length;
  const end = offset + length;
  let p = pattern.offset;
  let t = offset;
  /** Behind the last asterisk, and the byte from which the rest was tried last. */
  let starNext = -1;
  let starText = 0;
  for (;;) {
    if (p < patternEnd && bytes[p] === ASTERISK) {
      starNext = ++p;
      starText = t;
      if (starNext === patternEnd) return true;
      continue;
    }
    if (t < end) {
      const next = p < patternEnd ? matchOne(bytes, p, patternEnd, text[t]) : -1;
      if (next >= 0) {
        p = next;
        t++;
        continue;
      }
    } else if (p === patternEnd) {
      return true;
    }
    if (starNext < 0 || starText >= end) return false;
    t = ++starText;
    p = starNext;
  }
}

/** Position behind the element of the pattern that starts at `at`, or −1 when the byte does not match it. */
function matchOne(pattern: Uint8Array, at: number, end: number, byte: number): number {
  switch (pattern[at]) {
    case QUESTION_MARK:
      return at + 1;
    case OPENING_BRACKET:
      return matchSet(pattern, at + 1, end, byte);
    case BACKSLASH:
      if (at + 1 < end) return pattern[at + 1] === byte ? at + 2 : -1;
      break;
  }
  return pattern[at] === byte ? at + 1 : -1;
}

function matchSet(pattern: Uint8Array, start: number, end: number, byte: number): number {
  const negated = start < end && pattern[start] === CARET;
  let at = negated ? start + 1 : start;
  let found = false;
  while (at < end && pattern[at] !== CLOSING_BRACKET) {
    if (pattern[at] === BACKSLASH && at + 1 < end) {
      if (pattern[at + 1] === byte) found = true;
      at += 2;
    } else if (at + 2 < end && pattern[at + 1] === DASH) {
      const low = Math.min(pattern[at], pattern[at + 2]);
      const high = Math.max(pattern[at], pattern[at + 2]);
      if (byte >= low && byte <= high) found = true;
      at += 3;
    } else {
      if (pattern[at] === byte) found = true;
      at++;
    }
  }
  // Behind the closing bracket, if there is one.
  return found === negated ? -1 : Math.min(at + 1, end);
}
