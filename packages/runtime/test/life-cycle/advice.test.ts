import { describe, expect, it } from 'vitest';
import { type AdviceOptions, startupAdvice } from '../../src/life-cycle/advice.js';
import { machine, server, tree } from '../placement/machine.js';

const LIMITS = `Limit                     Soft Limit           Hard Limit           Units
Max open files            1024                 524288               files
Max locked memory         unlimited            unlimited            bytes`;

/** A machine about which there is nothing to say. */
const good = {
  'proc/sys/kernel/osrelease': '6.1.0-18-amd64',
  'proc/sys/kernel/io_uring_disabled': '0',
  'proc/sys/kernel/numa_balancing': '0',
  'proc/sys/vm/overcommit_memory': '0',
  'proc/sys/vm/swappiness': '60',
  'proc/sys/net/core/somaxconn': '4096',
  'proc/swaps': 'Filename\t\t\t\tType\t\tSize\t\tUsed\t\tPriority',
  'proc/self/limits': LIMITS,
  'proc/self/status': 'CapEff:\t0000000000000000',
  'proc/self/cgroup': '0::/',
  'sys/fs/cgroup/cpu.max': 'max 100000',
  'sys/kernel/mm/transparent_hugepage/enabled': 'always [madvise] never',
  'sys/devices/system/cpu/cpu0/cpufreq/scaling_governor': 'performance',
  'sys/devices/system/clocksource/clocksource0/current_clocksource': 'tsc',
};

const codes = (files: Record<string, string>, options: AdviceOptions = {}): string[] =>
  startupAdvice({ root: machine(server(2, 2, 1), { files: { ...good, ...files } }), ...options }).map(
    ({ code, severity }) => `${severity} ${code.replace('SUNSTAR_ADVICE_', '')}`,
  );

describe('advice at the start', () => {
  it('is none where all is well, or nothing can be found out', () => {
    expect(codes({})).toEqual([]);
    expect(startupAdvice({ root: tree({}) })).toEqual([]);
  });

  it.each([
    ['info KERNEL', { 'proc/sys/kernel/osrelease': '6.0.9' }],
    ['warn KERNEL', { 'proc/sys/kernel/osrelease': '5.15.0-100-generic' }],
    ['warn IO_URING', { 'proc/sys/kernel/io_uring_disabled': '2' }],
    ['warn IO_URING', { 'proc/sys/kernel/io_uring_disabled': '1' }],
    ['warn OVERCOMMIT', { 'proc/sys/vm/overcommit_memory': '2' }],
    ['warn DESCRIPTORS', { 'proc/self/limits': LIMITS.replace('524288', '4096') }],
    ['info DESCRIPTORS', { 'proc/self/limits': LIMITS.replace('524288', '20000') }],
    ['info LOCKED_MEMORY', { 'proc/self/limits': LIMITS.replace('unlimited', '8388608') }],
    ['info SWAP', { 'proc/swaps': 'Filename\tType\n/dev/sda2\tpartition' }],
    ['info HUGE_PAGES', { 'sys/kernel/mm/transparent_hugepage/enabled': 'always madvise [never]' }],
    ['info GOVERNOR', { 'sys/devices/system/cpu/cpu3/cpufreq/scaling_governor': 'powersave' }],
    ['info CLOCK', { 'sys/devices/system/clocksource/clocksource0/current_clocksource': 'acpi_pm' }],
    ['info NUMA_BALANCING', { 'proc/sys/kernel/numa_balancing': '1' }],
    ['info CPU_QUOTA', { 'sys/fs/cgroup/cpu.max': '150000 100000' }],
    ['info BACKLOG', { 'proc/sys/net/core/somaxconn': '128' }],
  ] as [string, Record<string, string>][])('%s', (code, files) => {
    expect(codes(files)).toEqual([code]);
  });

  it('knows what a privileged process may do', () => {
    const status = {
      'proc/self/status': `CapEff:\t${((1n << 14n) | (1n << 21n)).toString(16).padStart(16, '0')}`,
    };
    expect(codes({ ...status, 'proc/self/limits': LIMITS.replace('unlimited', '8388608') })).toEqual([]);
    expect(codes({ ...status, 'proc/sys/kernel/io_uring_disabled': '1' })).toEqual([]);
    expect(codes({ ...status, 'proc/sys/kernel/io_uring_disabled': '2' })).toEqual(['warn IO_URING']);
  });

  it('compares the memory of the shards with what there is, and puts what is urgent first', () => {
    expect(codes({}, { memoryBytes: 2, usableBytes: 2 })).toEqual([]);
    expect(
      codes(
        { 'proc/sys/kernel/osrelease': '6.0.9', 'proc/sys/vm/overcommit_memory': '2' },
        { memoryBytes: 2, usableBytes: 1 },
      ),
    ).toEqual(['warn MEMORY', 'warn OVERCOMMIT', 'info KERNEL']);
  });

  it('names a remedy for everything', () => {
    for (const advice of startupAdvice()) expect(advice.remedy.length).toBeGreaterThan(10);
  });
});
