import type { Completion } from '@sunstar/runtime';
import type { Chunk } from './chunk-cache.js';

/** Where an extent is on its way to the device. */
export const EXTENT_STATE = {
  /** Sealed: waits for its turn. */
  queued: 0,
  /** The device reads its memory: not one byte of it may change. */
  inFlight: 1,
  /** On the device, or in its cache. */
  done: 2,
  /** The write failed; the bytes are still in memory. */
  failed: 3,
} as const;

/** One of {@link EXTENT_STATE}. */
export type ExtentState = (typeof EXTENT_STATE)[keyof typeof EXTENT_STATE];

/** Who learns that the write of an extent ended. */
export interface ExtentListener {
  extentCompleted(extent: Extent, result: number): void;
}

/**
 * One write: whole pages of a chunk that go to consecutive pages of the file. The first page may begin with
 * bytes that an earlier extent wrote already, the last one is padded with zeros; `startBytes` and `endBytes`
 * say which bytes are this extent's own. Extents are pooled.
 */
export class Extent implements Completion {
  state: ExtentState = EXTENT_STATE.queued;
  chunk: Chunk;
  /** Where its pages are in the arena. */
  memoryOffset = 0;
  /** Where its first page is in the file. */
  position = 0;
  /** Whole pages, in bytes. */
  length = 0;
  /** File position of its first own byte. */
  startBytes = 0;
  /** File position after its last own byte. */
  endBytes = 0;
  /** Written so that it survives a power cut by itself. */
  isDurable = false;
  readonly #listener: ExtentListener;

  constructor(listener: ExtentListener, chunk: Chunk) {
    this.#listener = listener;
    this.chunk = chunk;
  }

  complete(result: number): void {
    this.#listener.extentCompleted(this, result);
  }
}
