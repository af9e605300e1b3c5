import { SunstarError } from '@sunstar/runtime';
import { type Entries, NEVER } from './entries.js';
import type { ExpiryWheel } from './expiry-wheel.js';
import type { EntryVisitor, HashTable } from './hash-table.js';
import type { KeyHash } from './key-hash.js';

/** Throws SUNSTAR_INVARIANT unless table, wheel, entries and the count of bytes agree. For tests: slow. */
export function verifyStore(
  table: HashTable,
  wheel: ExpiryWheel,
  entries: Entries,
  hash: KeyHash,
  payloadBytes: number,
): void {
  table.invariants();
  wheel.invariants();
  let foundBytes = 0;
  let expiring = 0;
  const visitor: EntryVisitor = {
    visit: (entry) => {
      foundBytes += entries.keyLength(entry) + entries.valueLength(entry);
      const expires = entries.expireAtMs(entry) !== NEVER;
      if (expires) expiring++;
      check(expires === wheel.has(entry), `entry ${entry} and the expiry wheel disagree`);
      const keyHash = hash.of(entries.keyOffset(entry), entries.keyLength(entry));
      check(keyHash === entries.hash(entry), `entry ${entry} has a wrong hash`);
    },
  };
  let cursor = 0;
  do cursor = table.scan(cursor, visitor);
  while (cursor !== 0);
  check(foundBytes === payloadBytes, `${payloadBytes} bytes are counted, but there are ${foundBytes}`);
  check(expiring === wheel.size, `${wheel.size} expiries are counted, but there are ${expiring}`);
}

function check(condition: boolean, problem: string): void {
  if (condition) return;
  throw new SunstarError(
    'SUNSTAR_INVARIANT',
    `The store contradicts itself: ${problem}. Please report this.`,
  );
}
