import { execFileSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';

test('a thread that never goes back to libuv does not grow with its ticks', () => {
  const program = fileURLToPath(new URL('../fixtures/many-ticks.mjs', import.meta.url));
  const grownBytes = Number(execFileSync(process.execPath, [program], { encoding: 'utf8' }));
  // Of two million ticks: one handle of each would be 16 MB.
  expect(grownBytes).toBeLessThan(12_000_000);
});
