import { SunstarError } from './errors.js';

const UNITS: Readonly<Record<string, number>> = {
  '': 1,
  b: 1,
  k: 1024,
  kb: 1024,
  kib: 1024,
  m: 1024 ** 2,
  mb: 1024 ** 2,
  mib: 1024 ** 2,
  g: 1024 ** 3,
  gb: 1024 ** 3,
  gib: 1024 ** 3,
  t: 1024 ** 4,
  tb: 1024 ** 4,
  tib: 1024 ** 4,
};

/**
 * Reads a size: a number of bytes, or text such as `'4GiB'`, `'512 MB'` or `'64k'`. All units are powers
 * of 1024, whichever way they are written.
 *
 * @throws SunstarError SUNSTAR_INVALID_SIZE
 */
export function parseSize(size: number | string): number {
  const match = typeof size === 'string' ? /^\s*(\d+(?:\.\d+)?)\s*([a-z]*)\s*$/i.exec(size) : null;
  const unit = match === null ? undefined : UNITS[match[2].toLowerCase()];
  const sizeBytes =
    typeof size === 'number'
      ? size
      : match === null || unit === undefined
        ? Number.NaN
        : Number(match[1]) * unit;
  if (!Number.isFinite(sizeBytes) || sizeBytes < 0) {
    throw new SunstarError(
      'SUNSTAR_INVALID_SIZE',
      `${JSON.stringify(size)} is no size. Give a number of bytes or text such as '512MiB' or '4GiB'.`,
    );
  }
  return Math.floor(sizeBytes);
}

/** Writes a size for people: `formatSize(1536 * 1024) === '1.5 MiB'`. */
export function formatSize(sizeBytes: number): string {
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];
  let value = sizeBytes;
  let unit = 0;
  while (value >= 1024 && unit < units.length - 1) {
    value /= 1024;
    unit++;
  }
  return `${Number.isInteger(value) ? value : value.toFixed(1)} ${units[unit]}`;
}
