/**
 * Receives the results of an operation. One object serves any number of operations one after the
 * other: the hot path allocates nothing.
 */
export interface Completion {
  /**
   * Called inside the reactor's tick, on the shard that submitted the operation. It should not throw;
   * if it does, the error becomes an uncaught exception and the reactor goes on.
   *
   * @param result - What the operation returned; a negative error number when it failed.
   * @param flags - {@link IORING_CQE_F}; while `MORE` is set further calls follow.
   */
  complete(result: number, flags: number): void;
}
