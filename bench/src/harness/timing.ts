/** Nanoseconds for each operation of one call of `body`, which does `operations` of them. */
export function nanosecondsPerOperation(operations: number, body: () => void): number {
  const startedAt = process.hrtime.bigint();
  body();
  return Number(process.hrtime.bigint() - startedAt) / operations;
}

/** The same for a body that is finished when its promise is. */
export async function nanosecondsPerOperationAsync(
  operations: number,
  body: () => Promise<void>,
): Promise<number> {
  const startedAt = process.hrtime.bigint();
  await body();
  return Number(process.hrtime.bigint() - startedAt) / operations;
}
