import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Runtime } from '@sunstar/runtime';
import { afterAll, describe, expect, it } from 'vitest';
import type { Arena } from '../../src/memory/arena.ts';
import { adviseHugePages, type HugePages, systemPolicy } from '../../src/memory/huge-pages.ts';
import { createArena } from '../../src/memory/shared-arena.ts';

const MIB = 1024 * 1024;
const directory = mkdtempSync(join(tmpdir(), 'huge-pages-'));
afterAll(() => rmSync(directory, { recursive: true }));

function policyFile(content: string): string {
  const file = join(directory, 'enabled');
  writeFileSync(file, content);
  return file;
}

/** The flags of the mapping that an arena is in, and how much of it lies in huge pages. */
function mappingOf(arena: Pick<Arena, 'address'>): { flags: string[]; hugeBytes: number } {
  const mappings = readFileSync('/proc/self/smaps', 'latin1').split(/^(?=[0-9a-f]+-[0-9a-f]+ )/m);
  for (const mapping of mappings) {
    const [, start, end] = /^([0-9a-f]+)-([0-9a-f]+) /.exec(mapping) ?? [];
    if (arena.address < Number.parseInt(start, 16) || arena.address >= Number.parseInt(end, 16)) continue;
    return {
      flags: /VmFlags: (.*)/.exec(mapping)?.[1].split(' ') ?? [],
      hugeBytes: 1024 * Number(/AnonHugePages: +(\d+)/.exec(mapping)?.[1] ?? 0),
    };
  }
  throw new Error('the arena is in no mapping');
}

describe('huge pages', () => {
  it('are what the system says', () => {
    expect(systemPolicy(policyFile('always [madvise] never\n'))).toBe('madvise');
    expect(systemPolicy(policyFile('[always] madvise never\n'))).toBe('always');
    expect(systemPolicy(policyFile('always madvise [never]\n'))).toBe('never');
    expect(systemPolicy(policyFile('?'))).toBe(null);
    expect(systemPolicy(join(directory, 'absent'))).toBe(null);
  });

  it.runIf(systemPolicy() === 'madvise')('back an arena by default where programs may ask for them', () => {
    const arena = createArena(8 * MIB);
    expect(mappingOf(arena).flags).toContain('hg');
    arena.bytes.fill(1);
    // When no 2 MiB are free in one piece, the kernel gives small pages.
    expect(mappingOf(arena).hugeBytes % (2 * MIB)).toBe(0);
    const small = createArena(8 * MIB, { hugePages: 'never' });
    expect(mappingOf(small).flags).not.toContain('hg');
    small.bytes.fill(1);
    expect(mappingOf(small).hugeBytes).toBe(0);
  });

  it.each([
    ['always [madvise] never', 'auto', ['hg']],
    ['always [madvise] never', 'always', ['hg']],
    ['always [madvise] never', 'never', []],
    ['[always] madvise never', 'never', ['nh']],
    ['[always] madvise never', 'auto', ['hg']],
    ['always madvise [never]', 'auto', []],
    ['always madvise [never]', 'never', []],
  ] as const)('with the policy %s and the option %s have the advice %j', (policy, wanted, advice) => {
    const arena = createArena(4 * MIB, { hugePages: 'never' });
    adviseHugePages(arena, wanted, policyFile(policy));
    expect(mappingOf(arena).flags.filter((flag) => flag === 'hg' || flag === 'nh')).toEqual(advice);
  });

  it('that are insisted on and cannot be had are an error', () => {
    const arena = createArena(MIB);
    for (const file of [policyFile('always madvise [never]'), join(directory, 'absent')]) {
      const code = 'SUNSTAR_HUGE_PAGES_UNAVAILABLE';
      expect(() => adviseHugePages(arena, 'always', file)).toThrow(expect.objectContaining({ code }));
    }
    const code = 'SUNSTAR_INVALID_OPTION';
    for (const wanted of ['', 'sometimes', true, 0]) {
      expect(() => createArena(MIB, { hugePages: wanted as HugePages })).toThrow(
        expect.objectContaining({ code }),
      );
    }
  });

  it.runIf(systemPolicy() === 'madvise')('are an option of the runtime', async () => {
    const entry = new URL('../fixtures/tell-arena.mjs', import.meta.url);
    for (const hugePages of ['auto', 'always', 'never'] as const) {
      const journal = join(directory, hugePages);
      await using _runtime = await Runtime.start({
        entry,
        shards: 2,
        memory: '16MiB',
        hugePages,
        data: { journal },
        log: 'error',
      });
      const addresses = readFileSync(journal, 'latin1').trim().split('\n').map(Number);
      expect(addresses).toHaveLength(2);
      for (const address of addresses) {
        expect(mappingOf({ address }).flags.includes('hg')).toBe(hugePages !== 'never');
      }
    }
    const wrong = Runtime.start({ entry, shards: 2, memory: '16MiB', hugePages: 'sometimes' as HugePages });
    await expect(wrong).rejects.toMatchObject({ code: 'SUNSTAR_INVALID_OPTION' });
  });
});
