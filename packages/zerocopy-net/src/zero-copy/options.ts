import { invalidOption } from '../errors.js';

/**
 * Whether a connection sends large pieces without a copy:
 *
 * - `'auto'`: where it pays: not to peers on this machine, not while the kernel copies anyway;
 * - `'always'`: whenever the kernel can, also to this machine (for tests, and where nothing is known better);
 * - `'never'`.
 */
export type ZeroCopyChoice = 'auto' | 'always' | 'never';

/**
 * How zero-copy sends are made:
 *
 * - `'send_zc'`: operations of io_uring, notified by completions (Linux 6.0);
 * - `'msg_zerocopy'`: a flag of the socket's own, notified through its error queue (Linux 4.14);
 * - `'none'`: not at all.
 */
export type ZeroCopyMechanism = 'send_zc' | 'msg_zerocopy' | 'none';

/** Zero-copy sends of all connections of a shard. */
export interface ZeroCopyOptions {
  /** @defaultValue `'auto'`: the first that the kernel has, in the order above */
  readonly mechanism?: ZeroCopyMechanism | 'auto';
  /**
   * Bytes of shard memory that sends may hold until the kernel lets go of them; beyond it sends are copied.
   * @defaultValue a quarter of the shard's memory; 0 to 4 GiB
   */
  readonly maxHeldBytes?: number;
  /**
   * Registers the whole memory of the shard with the kernel, which saves looking up its pages with each send. All of
   * it then stays in physical memory, and counts against `ulimit -l` except for root. Needs memory without huge pages
   * (`hugePages: 'never'` of the runtime): with them the kernel counts each piece as megabytes. @defaultValue false
   */
  readonly registerMemory?: boolean;
}

/** The smallest send that is worth it, measured with a cold source on a path that really avoids the copy. */
export const DEFAULT_ZERO_COPY_THRESHOLD_BYTES = 32_768;

const CHOICES: readonly string[] = ['auto', 'always', 'never'];
const MECHANISMS: readonly string[] = ['auto', 'send_zc', 'msg_zerocopy', 'none'];

/** Checks {@link ZeroCopyChoice}. */
export function zeroCopyChoice(value: ZeroCopyChoice | undefined): ZeroCopyChoice {
  const choice = value ?? 'auto';
  if (!CHOICES.includes(choice)) throw invalidOption('zeroCopy', value, `one of ${CHOICES.join(', ')}`);
  return choice;
}

/** Checks {@link ZeroCopyOptions.mechanism}. */
export function zeroCopyMechanism(value: ZeroCopyOptions['mechanism']): ZeroCopyMechanism | 'auto' {
  const mechanism = value ?? 'auto';
  if (!MECHANISMS.includes(mechanism))
    throw invalidOption('mechanism', value, `one of ${MECHANISMS.join(', ')}`);
  return mechanism;
}
