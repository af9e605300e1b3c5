/** The one promise that everything returns which is done at once and has no value. */
export const READY: Promise<void> = Promise.resolve();

/** Whether a value has to be awaited. */
export function isThenable<T>(value: T | PromiseLike<T>): value is PromiseLike<T> {
  return (
    typeof value === 'object' && value !== null && typeof (value as { then?: unknown }).then === 'function'
  );
}

/** Rejects with whatever was thrown. */
export async function rejection(error: unknown): Promise<never> {
  throw error;
}
