import { expect, it } from 'vitest';
import { SyncChoice } from '../../src/appender/sync-choice.js';

/** How many of so many rounds were durable writes, when the two ways take so long. */
function durableOf(choice: SyncChoice, rounds: number, durableMs: number, syncMs: number): number {
  let durable = 0;
  for (let i = 0; i < rounds; i++) {
    const isDurable = choice.chooseDurable();
    if (isDurable) durable++;
    choice.ended(isDurable, isDurable ? durableMs : syncMs);
    choice.invariants();
  }
  return durable;
}

it('uses what is faster, and what needs less CPU time when there is no difference', () => {
  const choice = new SyncChoice();
  expect(durableOf(choice, 1000, 0.15, 0.15)).toBeGreaterThan(950);
  // The machine gets busy: found out at the next try.
  expect(durableOf(choice, 200, 2, 0.15)).toBeLessThan(150);
  // A try takes 13 times as long: there are few.
  expect(durableOf(choice, 1000, 2, 0.15)).toBeLessThan(5);
  durableOf(choice, 8000, 0.1, 0.3);
  expect(durableOf(choice, 1000, 0.1, 0.3)).toBeGreaterThan(950);
});

it('is not misled by a single round that took long', () => {
  const choice = new SyncChoice();
  durableOf(choice, 100, 0.1, 0.3);
  choice.ended(true, 1000);
  choice.ended(true, 0.1);
  expect(durableOf(choice, 100, 0.1, 0.3)).toBeGreaterThan(95);
});
