const DIGITS = 16;
const SEGMENT = /^(\d{16})\.log$/;

/** The file of a segment, by the sequence number of its first record. */
export function segmentName(baseSequence: number): string {
  return `${String(baseSequence).padStart(DIGITS, '0')}.log`;
}

/** The file of a segment's index. */
export function indexName(baseSequence: number): string {
  return `${String(baseSequence).padStart(DIGITS, '0')}.index`;
}

/** Where an index is while it is written. */
export const TEMPORARY_INDEX = 'index.tmp';

/** The sequence numbers that segments among these names begin with, in order. */
export function baseSequences(names: readonly string[]): number[] {
  return names
    .map((name) => SEGMENT.exec(name)?.[1])
    .filter((digits) => digits !== undefined)
    .map(Number)
    .sort((a, b) => a - b);
}
