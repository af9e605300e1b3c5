import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { OutOfMemoryError } from '../../src/errors.ts';
import { heapArena } from '../../src/memory/arena.ts';
import { ShardMemory } from '../../src/memory/shard-memory.ts';

const KIB = 1024;
const MIB = 1024 * KIB;

function failure(action: () => unknown): OutOfMemoryError {
  try {
    action();
  } catch (error) {
    if (error instanceof OutOfMemoryError) return error;
  }
  throw new Error('there was memory');
}

function fill(memory: ShardMemory): void {
  const cache = memory.group('cache', { limit: MIB });
  for (let offset = cache.tryAllocate(3000); offset >= 0; offset = cache.tryAllocate(3000));
  for (let offset = memory.tryAllocate(4096); offset >= 0; offset = memory.tryAllocate(4096));
}

describe('the report of a shortage', () => {
  it('names sizes, groups, reclaimers and call sites', () => {
    const memory = new ShardMemory(heapArena(4 * MIB), { debug: false, heapProfileIntervalBytes: 4 * KIB });
    memory.addReclaimer(() => 0, { name: 'page cache', priority: 3 });
    fill(memory);
    const { report, message } = failure(() => memory.allocate(4096));
    expect(message).toContain('no block of 4096 bytes');
    expect(report).toBe(memory.report());
    const lines = (report ?? '').split('\n');
    expect(lines[0]).toMatch(/^Memory: 4 MiB, 4(\.0)? MiB used/);
    const at = (title: string): number => lines.findIndex((line) => line.startsWith(title));
    expect(lines[at('Sizes') + 1]).toMatch(/^ {2}4 KiB: 7\d\d blocks, 3\.\d MiB \(7\d\.\d %\)/);
    expect(lines[at('Sizes') + 2]).toMatch(/^ {2}3 KiB: 34\d blocks/);
    expect(lines[at('Groups') + 1]).toMatch(
      /^ {2}cache: 102\d(\.\d)? KiB used of 1 MiB, .* 1 allocations failed/,
    );
    expect(lines[at('Reclaimers') + 1]).toBe('  page cache (priority 3): 2 calls, 0 B reclaimed, 0 failures');
    expect(lines[at('Sites') + 1]).toMatch(/^ {2}\S+ MiB in \d+ blocks at fill /);
  });

  it('is made at most once a second, and says how to learn the call sites', () => {
    const memory = new ShardMemory(heapArena(MIB), { debug: false });
    memory.allocate(MIB);
    expect(failure(() => memory.allocate(1)).report).toContain('SUNSTAR_HEAP_PROFILE');
    expect(failure(() => memory.allocate(1)).report).toBeUndefined();
  });

  it('lists the call sites of debug mode', () => {
    const memory = new ShardMemory(heapArena(4 * MIB), { debug: true });
    fill(memory);
    expect(memory.report()).toMatch(/Sites that hold most:\n.* at fill /);
  });
});

describe('the policy to abort', () => {
  it('writes the report and ends the process', () => {
    const script = `
      import { heapArena, ShardMemory } from '@sunstar/runtime';
      const memory = new ShardMemory(heapArena(1024 * 1024));
      memory.group('tables').allocate(1024 * 1024);
      if (memory.tryAllocate(5) !== -1) throw new Error('there is memory');
      try {
        memory.allocate(5);
      } finally {
        console.log('not reached');
      }
    `;
    const { status, signal, stdout, stderr } = spawnSync(
      process.execPath,
      ['--input-type=module', '--eval', script],
      {
        cwd: fileURLToPath(new URL('../..', import.meta.url)),
        env: { ...process.env, SUNSTAR_OUT_OF_MEMORY: 'abort', SUNSTAR_DEBUG: '0' },
        encoding: 'utf8',
        timeout: 15_000,
      },
    );
    expect([status, signal]).toEqual([null, 'SIGABRT']);
    expect(stdout).toBe('');
    expect(stderr).toContain('OutOfMemoryError [SUNSTAR_OUT_OF_MEMORY]: The shard');
    expect(stderr).toContain('  tables: 1 MiB used of 1 MiB');
  });
});
