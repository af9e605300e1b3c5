import { expect } from 'vitest';
import type { SegmentAppenderOptions } from '../../src/appender/options.js';
import { SegmentAppender } from '../../src/appender/segment-appender.js';
import { type ManualTarget, settle } from './manual-target.js';

export const NO_SPACE_AHEAD: SegmentAppenderOptions = {
  chunkBytes: 256,
  maxBufferedBytes: 1024,
  allocationStepBytes: 0,
  zeroAheadBytes: 0,
};

/** Opens an appender, completing with success whatever that needs. */
export async function open(
  target: ManualTarget,
  options: SegmentAppenderOptions = NO_SPACE_AHEAD,
): Promise<SegmentAppender> {
  const opening = SegmentAppender.open(target, options);
  await completeAll(target);
  return opening;
}

/** Completes everything, in order, until nothing is parked any more. */
export async function completeAll(target: ManualTarget): Promise<void> {
  await settle();
  while (target.parked.length > 0) {
    target.complete(0);
    await settle();
  }
}

export async function closeOnly(target: ManualTarget, appender: SegmentAppender): Promise<void> {
  const closing = appender.close();
  await completeAll(target);
  await closing;
}

export async function close(target: ManualTarget, appender: SegmentAppender): Promise<void> {
  await closeOnly(target, appender);
  expect(target.memory.real.stats().liveBlocks).toBe(0);
}

export function kinds(target: ManualTarget): string[] {
  return target.parked.map((operation) => operation.kind);
}
