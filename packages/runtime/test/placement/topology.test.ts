import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { formatCpuList, parseCpuList } from '../../src/placement/cpu-list.js';
import { cpuQuota } from '../../src/placement/quota.js';
import { allowedCpus, readTopology } from '../../src/placement/topology.js';
import { machine, server, tree } from './machine.js';

describe('lists of CPUs', () => {
  it('are read and written as the kernel does it', () => {
    expect(parseCpuList('0-3,8,10-11')).toEqual([0, 1, 2, 3, 8, 10, 11]);
    expect(parseCpuList('')).toEqual([]);
    expect(formatCpuList([11, 10, 3, 2, 1, 1])).toBe('1-3,10-11');
    fc.assert(
      fc.property(fc.uniqueArray(fc.nat(8191)), (cpus) => {
        expect(parseCpuList(formatCpuList(cpus))).toEqual([...cpus].sort((a, b) => a - b));
      }),
    );
  });

  it.each(['1-', 'a', '3-1', '0,,1', '-1', '8192', '0-99999999999'])('refuses %s', (text) => {
    expect(() => parseCpuList(text)).toThrow(expect.objectContaining({ code: 'SUNSTAR_INVALID_CPU_LIST' }));
  });
});

describe('the topology of a machine', () => {
  it('with 64 CPUs in two sockets', () => {
    const cpus = server(2, 16, 2);
    const root = machine(cpus);
    expect(allowedCpus(root)).toHaveLength(64);
    expect(readTopology(allowedCpus(root), root)).toEqual(cpus);
  });

  it('with CPUs switched off and others forbidden', () => {
    const cpus = server(2, 4, 2);
    const root = machine(cpus, { online: '0-5,8-15', allowed: '2-40' });
    expect(allowedCpus(root)).toEqual([2, 3, 4, 5, 8, 9, 10, 11, 12, 13, 14, 15]);
    expect(readTopology([5, 13], root)).toEqual([cpus[5], cpus[13]]);
  });

  it('with older names of files, and unknown sockets, as some arm64 boards have it', () => {
    const root = machine(server(1, 4, 1), {
      topology: false,
      files: {
        'sys/devices/system/cpu/cpu0/topology/thread_siblings_list': '0',
        'sys/devices/system/cpu/cpu0/topology/physical_package_id': '-1',
        'sys/devices/system/cpu/cpu1/topology/thread_siblings_list': '1',
      },
    });
    expect(readTopology(allowedCpus(root), root)).toEqual(server(1, 4, 1));
  });

  it('of which nothing is known has a core for each CPU', () => {
    expect(readTopology([3, 7], tree({}))).toEqual([
      { cpu: 3, core: 3, package: 0, node: 0 },
      { cpu: 7, core: 7, package: 0, node: 0 },
    ]);
  });

  it('of this machine has the CPUs that this process may use', () => {
    const cpus = readTopology();
    expect(cpus.map(({ cpu }) => cpu)).toEqual(allowedCpus());
    for (const cpu of cpus) expect(cpu.core).toBeLessThanOrEqual(cpu.cpu);
  });
});

describe('the CPU quota', () => {
  it.each([
    ['none', {}, Number.POSITIVE_INFINITY],
    [
      'version 2, none',
      { 'proc/self/cgroup': '0::/', 'sys/fs/cgroup/cpu.max': 'max 100000' },
      Number.POSITIVE_INFINITY,
    ],
    ['version 2', { 'proc/self/cgroup': '0::/', 'sys/fs/cgroup/cpu.max': '150000 100000' }, 1.5],
    [
      'version 2, of a group further out',
      {
        'proc/self/cgroup': '0::/a.slice/b.service',
        'sys/fs/cgroup/a.slice/cpu.max': '200000 100000',
        'sys/fs/cgroup/a.slice/b.service/cpu.max': '300000 100000',
      },
      2,
    ],
    [
      'version 1, path of the host',
      {
        'proc/self/cgroup': '5:memory:/docker/1234\n4:cpu,cpuacct:/docker/1234\n0::/',
        'sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us': '250000',
        'sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us': '100000',
      },
      2.5,
    ],
    [
      'version 1, none',
      { 'proc/self/cgroup': '1:cpu:/', 'sys/fs/cgroup/cpu/cpu.cfs_quota_us': '-1' },
      Number.POSITIVE_INFINITY,
    ],
    [
      'both versions',
      {
        'proc/self/cgroup': '1:cpu:/a\n0::/a',
        'sys/fs/cgroup/cpu/a/cpu.cfs_quota_us': '50000',
        'sys/fs/cgroup/unified/cpu.max': '400000 100000',
      },
      0.5,
    ],
    [
      'outside of the namespace',
      { 'proc/self/cgroup': '0::/../../etc', 'sys/fs/cgroup/cpu.max': '300000 100000' },
      3,
    ],
    [
      'unreadable',
      { 'proc/self/cgroup': '0::/', 'sys/fs/cgroup/cpu.max': 'nonsense' },
      Number.POSITIVE_INFINITY,
    ],
  ] as [string, Record<string, string>, number][])('%s', (_, files, quota) => {
    expect(cpuQuota(tree(files))).toBe(quota);
  });
});
