/**
 * Runs `body` and, just before its atomic access number `at`, runs `other` to its end: what happens when a
 * thread loses its core there. Accesses of `other` itself are not counted.
 *
 * @returns Whether `body` came to that access, and so `other` ran.
 */
export function preempt(at: number, other: () => void, body: () => void): boolean {
  const { load, store, compareExchange } = Atomics;
  let count = 0;
  let inside = false;
  const before = (): void => {
    if (inside) return;
    if (count++ !== at) return;
    inside = true;
    other();
    inside = false;
  };
  Atomics.load = ((...args: Parameters<typeof load>) => {
    before();
    return load(...args);
  }) as typeof load;
  Atomics.store = ((...args: Parameters<typeof store>) => {
    before();
    return store(...args);
  }) as typeof store;
  Atomics.compareExchange = ((...args: Parameters<typeof compareExchange>) => {
    before();
    return compareExchange(...args);
  }) as typeof compareExchange;
  try {
    body();
  } finally {
    Object.assign(Atomics, { load, store, compareExchange });
  }
  return count > at;
}
