// Real control groups, where the tests may make them: as root, with their file systems mounted.
import { execFileSync } from 'node:child_process';
import { availableParallelism } from 'node:os';
import { fileURLToPath } from 'node:url';
import { allowedCpus } from '@sunstar/runtime';
import { describe, expect, it } from 'vitest';
import { ControlGroup, canLimit, type Limits } from './cgroup.ts';

const program = fileURLToPath(new URL('../fixtures/tell-placement.mjs', import.meta.url));
const cpus = [...allowedCpus()];
const last = cpus[cpus.length - 1];
const MIB = 2 ** 20;

interface Told {
  readonly quota: number | null;
  readonly shardCount: number;
  readonly started: number;
  readonly overprovisioned: boolean;
  readonly cpus: readonly (readonly number[] | null)[];
  readonly allowed: readonly number[];
  readonly memoryBytes: number;
}

function within(limits: Limits): Told {
  using group = new ControlGroup(limits);
  const command = `${group.entering} exec '${process.execPath}' '${program}'`;
  return JSON.parse(execFileSync('sh', ['-c', command], { encoding: 'utf8' })) as Told;
}

describe('in a control group of this machine (skipped where none can be made, which takes root)', () => {
  it.skipIf(!canLimit({ cpus: 1 }) || cpus.length < 2)(
    'with a quota of 1.5 of its CPUs, one shard starts, which is not bound',
    () => {
      expect(within({ cpus: 1.5 })).toMatchObject({
        quota: 1.5,
        shardCount: 1,
        started: 1,
        overprovisioned: true,
        cpus: [null],
        allowed: cpus,
      });
    },
  );

  it.skipIf(!canLimit({ cpuset: `${last}` }) || cpus.length < 2)(
    'with a set of one CPU, one shard starts, on that CPU',
    () => {
      expect(within({ cpuset: `${last}` })).toMatchObject({
        shardCount: 1,
        started: 1,
        overprovisioned: false,
        cpus: [[last]],
        allowed: [last],
      });
    },
  );

  it.skipIf(!canLimit({ memoryBytes: 512 * MIB }))(
    'with a limit of memory, the shards take half of that',
    () => {
      const { memoryBytes, started } = within({ memoryBytes: 512 * MIB });
      expect(started).toBe(availableParallelism());
      expect(memoryBytes).toBeLessThanOrEqual(256 * MIB);
      expect(memoryBytes).toBeGreaterThan(250 * MIB);
    },
  );
});
