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
  /**
   * Called as soon as the result is taken from the ring, in any group, where {@link complete} waits for a turn of the
   * group that submitted. For what must not wait, such as giving the next operation to the device, or needs the order of
   * all groups' completions; not called on a shard with one group.
   */
  arrived?(result: number, flags: number): void;
}
