/**
 * Receives every change of a store, so that a log can bring it back after a restart.
 *
 * Each report is about a state, not about an operation: what a key's value and expiry are now, or that the key
 * is gone. So replaying records onto a base that holds the effect of some of them already gives the same store,
 * as long as no record behind the base is missing and their order is kept.
 *
 * Keys that expire are not reported: their expiry time, which was, says so at replay.
 *
 * Methods are called in the middle of a command, on the store's shard. They must not change the store and must
 * not throw; what they want to keep of an entry or of a range of the arena they copy at once.
 */
export interface Journal {
  /**
   * Asked before a command changes anything: is there room for records with `payloadBytes` bytes of keys and
   * values in all? When it says no, the command fails with -OOM and has changed nothing. The reports that follow
   * must succeed.
   *
   * @param recordCount - Number of reports that will follow, at most.
   */
  admit(recordCount: number, payloadBytes: number): boolean;
  /** The entry has a new value or is new; its key, value and expiry are read with `store.entries`. */
  set(entry: number): void;
  /** Only the entry's expiry has changed. */
  expire(entry: number): void;
  /** The key is gone. */
  delete(keyOffset: number, keyLength: number): void;
  /** All keys are gone. */
  flush(): void;
}

/** A journal that keeps nothing: for a store without a log, and for the time of replay. */
export const NO_JOURNAL: Journal = {
  admit: () => true,
  set: () => undefined,
  expire: () => undefined,
  delete: () => undefined,
  flush: () => undefined,
};
