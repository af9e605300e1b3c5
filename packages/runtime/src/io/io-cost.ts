/**
 * What requests take of a device, in bytes of sequential transfer: an operation costs its weight and its bytes
 * times a factor. After Seastar's I/O properties, which a calibration writes into a file.
 */
export interface IoCosts {
  /** Weight of a read, in bytes. @default 12288 */
  readonly readOperationBytes: number;
  /** Weight of a write, in bytes. @default 20480 */
  readonly writeOperationBytes: number;
  /** Cost of a byte that is read. @default 1 */
  readonly readByte: number;
  /** Cost of a byte that is written. @default 1 */
  readonly writeByte: number;
}

/**
 * A virtio disk of a cloud: reads of 4 KiB at depth 64 run at 90 to 95 thousand a second and those of 128 KiB at
 * 10 thousand; writes at 55 to 60 thousand and 11 thousand.
 */
export const DEFAULT_IO_COSTS: IoCosts = {
  readOperationBytes: 12_288,
  writeOperationBytes: 20_480,
  readByte: 1,
  writeByte: 1,
};

/** The cost of one request. */
export function ioCost(costs: IoCosts, isWrite: boolean, sizeBytes: number): number {
  return isWrite
    ? costs.writeOperationBytes + sizeBytes * costs.writeByte
    : costs.readOperationBytes + sizeBytes * costs.readByte;
}

/** Rates of one kind of request at a depth that keeps the device busy, by operations in a second. */
export interface MeasuredRates {
  /** Requests of {@link smallBytes}. */
  readonly smallPerSecond: number;
  readonly smallBytes: number;
  /** Requests of {@link largeBytes}. */
  readonly largePerSecond: number;
  readonly largeBytes: number;
}

/**
 * Costs from measured rates: seconds for an operation and for a byte, by the line through both sizes, in units of
 * the seconds that a byte of a large read takes.
 */
export function costsFromRates(reads: MeasuredRates, writes: MeasuredRates): IoCosts {
  const read = secondsOf(reads);
  const write = secondsOf(writes);
  return {
    readOperationBytes: read.operation / read.byte,
    writeOperationBytes: write.operation / read.byte,
    readByte: 1,
    writeByte: write.byte / read.byte,
  };
}

function secondsOf(rates: MeasuredRates): { operation: number; byte: number } {
  const small = 1 / rates.smallPerSecond;
  const large = 1 / rates.largePerSecond;
  const byte = Math.max((large - small) / (rates.largeBytes - rates.smallBytes), 1e-12);
  return { byte, operation: Math.max(small - byte * rates.smallBytes, 0) };
}
