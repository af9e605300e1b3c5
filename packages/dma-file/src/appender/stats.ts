/** Counters of a `SegmentAppender`. */
export interface SegmentAppenderStats {
  /** Calls of `flush()` and `requestFlush()` that had something to wait for. */
  readonly flushes: number;
  /** fdatasync operations and durable writes for them. */
  readonly syncs: number;
  /** Bytes that one sync makes durable, moving average. */
  readonly flushBytesAverage: number;
  /** Write operations that completed. */
  readonly writes: number;
  /** Bytes written, with padding and pages that were written again. */
  readonly writtenBytes: number;
  /** fallocate operations that completed. */
  readonly allocations: number;
  /** Bytes of zeros written ahead. */
  readonly zeroedBytes: number;
}
