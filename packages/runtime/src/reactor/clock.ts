/** CLOCK_MONOTONIC in milliseconds, the clock that native code writes before each tick. */
export function monotonicMs(): number {
  const [seconds, nanoseconds] = process.hrtime();
  return seconds * 1e3 + nanoseconds / 1e6;
}
