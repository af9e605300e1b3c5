/*
 * The load of a shard in one word, which travels in a place of the answer's slot that is free anyway:
 *
 *   bits 0–6     utilisation in 126ths; 127: not known
 *   bits 7–15    smoothed service latency: 0: not known; n: 0.1 µs × 2^((n − 1) / 16), 0.1 µs to 400 s within 2.2 %
 *   bits 16–23   queue depth q: log2(1 + q) × 8, exact up to 10, then within 4.5 % and rounding
 *   bits 24–31   free memory in 255ths of the shard's arena
 */

const UNKNOWN_UTILISATION = 127;
const UTILISATION_STEPS = 126;
const LATENCY_UNIT_US = 0.1;
const LATENCY_STEPS = 16;
const LATENCY_MAX = 511;
const DEPTH_STEPS = 8;
const BYTE_MAX = 255;

/** Packs a load. What is not known is NaN. */
export function loadWord(
  utilisation: number,
  latencyUs: number,
  queueDepth: number,
  freeFraction: number,
): number {
  const used = Number.isNaN(utilisation)
    ? UNKNOWN_UTILISATION
    : Math.round(within(utilisation, 0, 1) * UTILISATION_STEPS);
  const latency = Number.isNaN(latencyUs)
    ? 0
    : 1 + within(Math.round(Math.log2(latencyUs / LATENCY_UNIT_US) * LATENCY_STEPS), 0, LATENCY_MAX - 1);
  const depth = within(Math.round(Math.log2(1 + queueDepth) * DEPTH_STEPS), 0, BYTE_MAX);
  const free = Math.round(within(freeFraction, 0, 1) * BYTE_MAX);
  return used | (latency << 7) | (depth << 16) | (free << 24);
}

/** Share of the time in which the shard had something to do, 0 to 1; NaN when it is not known. */
export function utilisationOf(word: number): number {
  const used = word & 127;
  return used === UNKNOWN_UTILISATION ? Number.NaN : used / UTILISATION_STEPS;
}

/** Microseconds; NaN when none was measured. */
export function latencyUsOf(word: number): number {
  const latency = (word >>> 7) & LATENCY_MAX;
  return latency === 0 ? Number.NaN : LATENCY_UNIT_US * 2 ** ((latency - 1) / LATENCY_STEPS);
}

/** Calls that run or wait. */
export function queueDepthOf(word: number): number {
  return Math.round(2 ** (((word >>> 16) & BYTE_MAX) / DEPTH_STEPS) - 1);
}

/** Part of the shard's arena, 0 to 1. */
export function freeFractionOf(word: number): number {
  return (word >>> 24) / BYTE_MAX;
}

function within(value: number, least: number, most: number): number {
  return Math.min(Math.max(value, least), most);
}
