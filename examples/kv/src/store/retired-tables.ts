import type { Entries } from './entries.js';
import type { EntryVisitor, HashTable } from './hash-table.js';

/** Buckets that one call of {@link RetiredTables.reclaim} empties. */
const RECLAIM_BUCKETS = 1024;

/** Tables that were cleared: nobody sees their entries any more, and their memory is freed bit by bit. */
export class RetiredTables {
  readonly #tables: HashTable[] = [];
  readonly #release: EntryVisitor;

  constructor(entries: Entries) {
    this.#release = { visit: (entry) => entries.release(entry) };
  }

  add(table: HashTable): void {
    this.#tables.push(table);
  }

  /** Frees entries; false when there is nothing left to free. */
  reclaim(): boolean {
    if (this.#tables.length === 0) return false;
    this.dismantle(RECLAIM_BUCKETS);
    return true;
  }

  /** Frees everything, in time proportional to the number of entries. */
  dismantleAll(): void {
    while (this.reclaim());
  }

  /** Frees the entries of some buckets; returns what is left of the budget, 0 when there may be more to do. */
  dismantle(bucketBudget: number): number {
    let budget = bucketBudget;
    for (let table = this.#tables[0]; table !== undefined && budget > 0; table = this.#tables[0]) {
      budget = table.dismantle(budget, this.#release);
      if (budget > 0) this.#tables.shift();
    }
    return budget;
  }
}
