import { invalidOption } from '../errors.js';

/**
 * Which shard serves a new connection:
 *
 * - `'reuseport'`: every shard listens by itself, and the kernel chooses by a hash of addresses and ports;
 * - `'least-loaded'`: one shard accepts, and gives the connection to the shard with the least load;
 * - `'client-address'`: one shard accepts, and all connections of a client's address go to the same shard.
 */
export type Balance = 'reuseport' | 'least-loaded' | 'client-address';

const CHOICES: readonly string[] = ['reuseport', 'least-loaded', 'client-address'];

/** Checks {@link Balance}. */
export function balanceOption(value: Balance | undefined): Balance {
  const choice = value ?? 'reuseport';
  if (!CHOICES.includes(choice)) throw invalidOption('balance', value, `one of ${CHOICES.join(', ')}`);
  return choice;
}
