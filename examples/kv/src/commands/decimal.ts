/**
 * Decimal fractions of any size, exactly: what INCRBYFLOAT adds up. Redis uses 80-bit floating point, in which
 * 0.1 + 0.2 comes out as 0.3; with JavaScript's doubles it would not.
 */

/** A number `units / 10^scale`. */
export interface Decimal {
  readonly units: bigint;
  readonly scale: number;
}

/** Longer texts are no numbers here. */
export const DECIMAL_TEXT_MAX = 256;

/** Redis prints at most 17 digits behind the point. */
const FRACTION_DIGITS_MAX = 17;
const EXPONENT_MAX = 308;

const PATTERN = /^([+-]?)(\d*)(?:\.(\d*))?(?:[eE]([+-]?\d{1,4}))?$/;

/** Reads `[+-]digits[.digits][e[+-]digits]`; null when the text is something else or beyond the range of a double. */
export function parseDecimal(text: string): Decimal | null {
  if (text.length > DECIMAL_TEXT_MAX) return null;
  const match = PATTERN.exec(text);
  if (match === null) return null;
  const [, sign = '', whole = '', fraction = '', exponentText = '0'] = match;
  const digits = whole + fraction;
  const exponent = Number(exponentText);
  if (digits === '' || Math.abs(exponent) > EXPONENT_MAX) return null;
  const magnitude = BigInt(digits);
  const units = sign === '-' ? -magnitude : magnitude;
  const scale = fraction.length - exponent;
  return scale >= 0 ? { units, scale } : { units: units * 10n ** BigInt(-scale), scale: 0 };
}

export function addDecimals(a: Decimal, b: Decimal): Decimal {
  const scale = Math.max(a.scale, b.scale);
  const units = a.units * 10n ** BigInt(scale - a.scale) + b.units * 10n ** BigInt(scale - b.scale);
  return { units, scale };
}

/** Formats without an exponent, rounded half up to 17 digits behind the point, without trailing zeros. */
export function formatDecimal(value: Decimal): string {
  let { units, scale } = value;
  const negative = units < 0n;
  if (negative) units = -units;
  if (scale > FRACTION_DIGITS_MAX) {
    const divisor = 10n ** BigInt(scale - FRACTION_DIGITS_MAX);
    units = (units + divisor / 2n) / divisor;
    scale = FRACTION_DIGITS_MAX;
  }
  const digits = units.toString().padStart(scale + 1, '0');
  const whole = digits.slice(0, digits.length - scale);
  const fraction = digits.slice(digits.length - scale).replace(/0+$/, '');
  const text = fraction === '' ? whole : `${whole}.${fraction}`;
  return negative && units !== 0n ? `-${text}` : text;
}
