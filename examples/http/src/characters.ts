/** What a byte may be part of, by RFC 9110 and 9112. */
export const TOKEN = 1;
/** A byte of a field's value: visible, space, tab, or beyond ASCII. */
export const FIELD = 2;
/** A byte of a request target: visible ASCII. */
export const TARGET = 4;

export const TAB = 9;
export const LF = 10;
export const CR = 13;
export const SPACE = 32;
export const COLON = 58;

/** The classes of each byte. */
export const classes: Uint8Array = makeClasses();

function makeClasses(): Uint8Array {
  const table = new Uint8Array(256);
  for (let byte = 0; byte < 256; byte++) {
    const character = String.fromCharCode(byte);
    if (/[!#$%&'*+.^_`|~0-9A-Za-z-]/.test(character)) table[byte] |= TOKEN;
    if (byte === TAB || (byte >= SPACE && byte !== 127)) table[byte] |= FIELD;
    if (byte > SPACE && byte < 127) table[byte] |= TARGET;
  }
  return table;
}
