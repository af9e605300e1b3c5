// Trees of files that look like the /proc and /sys of other machines.
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll } from 'vitest';
import { formatCpuList } from '../../src/placement/cpu-list.js';
import type { Cpu } from '../../src/placement/topology.js';

const roots: string[] = [];

afterAll(() => {
  for (const root of roots) rmSync(root, { recursive: true });
});

/** A directory with these files in it. */
export function tree(files: Record<string, string>): string {
  const root = mkdtempSync(path.join(tmpdir(), 'sunstar-machine-'));
  roots.push(root);
  for (const [name, text] of Object.entries(files)) {
    mkdirSync(path.dirname(path.join(root, name)), { recursive: true });
    writeFileSync(path.join(root, name), `${text}\n`);
  }
  return root;
}

/** CPUs numbered as x86 servers do it: first one thread of each core, node by node, then the others. */
export function server(nodes: number, coresPerNode: number, threads: number): Cpu[] {
  const cores = nodes * coresPerNode;
  return Array.from({ length: cores * threads }, (_, cpu) => {
    const core = cpu % cores;
    const node = Math.floor(core / coresPerNode);
    return { cpu, core, package: node, node };
  });
}

export interface MachineOptions {
  /** What the affinity of the process allows. @default all */
  readonly allowed?: string;
  /** @default all */
  readonly online?: string;
  /** Further files, and replacements. */
  readonly files?: Record<string, string>;
  /** Whether there is a topology in sysfs. @default true */
  readonly topology?: boolean;
}

/** The root of a machine with these CPUs. */
export function machine(cpus: readonly Cpu[], options: MachineOptions = {}): string {
  const all = formatCpuList(cpus.map(({ cpu }) => cpu));
  const online = options.online ?? all;
  const files: Record<string, string> = {
    'proc/thread-self/status': `Name:\tnode\nCpus_allowed:\tff\nCpus_allowed_list:\t${options.allowed ?? all}`,
    'sys/devices/system/cpu/online': online,
  };
  if (options.topology !== false) {
    for (const { cpu, core, package: socket } of cpus) {
      const directory = `sys/devices/system/cpu/cpu${cpu}/topology`;
      const siblings = cpus.filter((other) => other.core === core).map((other) => other.cpu);
      files[`${directory}/core_cpus_list`] = formatCpuList(siblings);
      files[`${directory}/physical_package_id`] = String(socket);
      // As the kernel does it: the same numbers in each socket.
      files[`${directory}/core_id`] = String(core % 4);
    }
    for (const node of new Set(cpus.map((cpu) => cpu.node))) {
      files[`sys/devices/system/node/node${node}/cpulist`] = formatCpuList(
        cpus.filter((cpu) => cpu.node === node).map(({ cpu }) => cpu),
      );
    }
  }
  return tree({ ...files, ...options.files });
}
