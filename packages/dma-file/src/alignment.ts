/** Rounds down to a multiple of `alignmentBytes`. Exact for every safe integer. */
export function alignDown(value: number, alignmentBytes: number): number {
  return value - (value % alignmentBytes);
}

/** Rounds up to a multiple of `alignmentBytes`. Exact as long as the result is a safe integer. */
export function alignUp(value: number, alignmentBytes: number): number {
  const rest = value % alignmentBytes;
  return rest === 0 ? value : value + alignmentBytes - rest;
}

/** Whether the value is a multiple of `alignmentBytes`. */
export function isAligned(value: number, alignmentBytes: number): boolean {
  return value % alignmentBytes === 0;
}
