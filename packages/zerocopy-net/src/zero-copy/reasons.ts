/** Why a send that is large enough for zero copy was copied all the same. */
export type CopyReason =
  /** `zeroCopy: 'never'`, `mechanism: 'none'`, or the connection has no choice to make. */
  | 'off'
  /** The kernel, or this kind of socket, has no zero-copy sends. */
  | 'notSupported'
  /** The peer is on this machine: the kernel would copy, and charge more for it. */
  | 'localPeer'
  /** It has not enough in large pieces. */
  | 'belowThreshold'
  /** It lies outside of the shard's memory (wrapped, or of another shard), and could be taken away. */
  | 'foreignMemory'
  /** The kernel copied again and again; zero copy is tried again later. */
  | 'kernelCopies'
  /** The user may not lock more memory (RLIMIT_MEMLOCK). */
  | 'lockedMemory'
  /** The kernel had no memory for the notifications (net.core.optmem_max), or for locking. */
  | 'noBuffers'
  /** Earlier sends hold as much memory as they may. */
  | 'heldMemory';

/** Sends that were copied, by reason. */
export type CopyCounts = Record<CopyReason, number>;

/** All at zero. */
export function newCopyCounts(): CopyCounts {
  return {
    off: 0,
    notSupported: 0,
    localPeer: 0,
    belowThreshold: 0,
    foreignMemory: 0,
    kernelCopies: 0,
    lockedMemory: 0,
    noBuffers: 0,
    heldMemory: 0,
  };
}
