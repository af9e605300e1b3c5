import { readFileSync } from 'node:fs';

/** Interrupts of devices by line and CPU; those between CPUs, and of their timers, have names instead of numbers. */
function interrupts(): Map<string, number[]> {
  const lines = readFileSync('/proc/interrupts', 'utf8').split('\n');
  const cpus = lines[0]
    .trim()
    .split(/\s+/)
    .map((name) => Number(name.slice('CPU'.length)));
  const counts = new Map<string, number[]>();
  for (const line of lines) {
    const [number, ...columns] = line.trim().split(/\s+/);
    if (!/^\d+:$/.test(number)) continue;
    const byCpu: number[] = [];
    for (const [i, cpu] of cpus.entries()) byCpu[cpu] = Number(columns[i]);
    counts.set(number, byCpu);
  }
  return counts;
}

/**
 * The CPU that most interrupts of the busiest device went to while something ran; undefined where none went, or the
 * system does not tell. A thread that waits for a disk is woken soonest there.
 */
export async function interruptCpu(run: () => Promise<unknown>): Promise<number | undefined> {
  let before: Map<string, number[]>;
  try {
    before = interrupts();
  } catch {
    await run();
    return undefined;
  }
  await run();
  let most = 0;
  let found: number | undefined;
  for (const [number, byCpu] of interrupts()) {
    byCpu.forEach((count, cpu) => {
      const grown = count - (before.get(number)?.[cpu] ?? 0);
      if (grown <= most) return;
      most = grown;
      found = cpu;
    });
  }
  return found;
}
