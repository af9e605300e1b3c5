import { native } from '@sunstar/native';
import { systemError } from '../errors.js';
import { SystemFiles } from '../system-files.js';
import { parseCpuList } from './cpu-list.js';

/** One CPU as the kernel numbers it (a hardware thread), and what it shares with others. */
export interface Cpu {
  readonly cpu: number;
  /** The lowest CPU of its physical core: equal for hardware threads that share one. */
  readonly core: number;
  /** The socket. */
  readonly package: number;
  /** The NUMA node: memory of other nodes is farther away. */
  readonly node: number;
}

const CPU_ROOT = 'sys/devices/system/cpu';
const NODE_ROOT = 'sys/devices/system/node';

/**
 * The CPUs that this thread may run on, by its affinity and the cpuset of its control group, rising. CPUs that are
 * offline do not count.
 *
 * @param root - The directory that stands for `/`.
 */
export function allowedCpus(root = '/'): number[] {
  const files = new SystemFiles(root);
  const allowed = files.field('proc/thread-self/status', 'Cpus_allowed_list');
  if (allowed === undefined) {
    // No /proc: ask the kernel, which tells the same.
    const cpus = native.allowedCpus();
    if (typeof cpus === 'number') throw systemError('sched_getaffinity', cpus);
    return cpus;
  }
  const cpus = parseCpuList(allowed);
  const online = files.read(`${CPU_ROOT}/online`);
  if (online === undefined) return cpus;
  // The mask of a process may name CPUs that are switched off, or that the machine never had.
  const running = new Set(parseCpuList(online));
  return cpus.filter((cpu) => running.has(cpu));
}

/**
 * What these CPUs share, from sysfs. A CPU of which sysfs tells nothing (in some sandboxes, on some boards) counts as a
 * core of its own in node and package 0.
 *
 * @param root - The directory that stands for `/`.
 */
export function readTopology(cpus: readonly number[] = allowedCpus(), root = '/'): Cpu[] {
  const files = new SystemFiles(root);
  const nodes = new Map<number, number>();
  for (const name of files.list(NODE_ROOT)) {
    const node = /^node(\d+)$/.exec(name)?.[1];
    if (node === undefined) continue;
    for (const cpu of parseCpuList(files.read(`${NODE_ROOT}/${name}/cpulist`) ?? ''))
      nodes.set(cpu, Number(node));
  }
  return cpus.map((cpu) => {
    const directory = `${CPU_ROOT}/cpu${cpu}/topology`;
    const siblings =
      files.read(`${directory}/core_cpus_list`) ?? files.read(`${directory}/thread_siblings_list`);
    // Core numbers of the kernel repeat in other sockets, dies and clusters; sets of siblings do not.
    const core = siblings === undefined ? cpu : (parseCpuList(siblings)[0] ?? cpu);
    // −1 on boards that do not know.
    const socket = Math.max(0, Number(files.read(`${directory}/physical_package_id`) ?? 0));
    return { cpu, core, package: socket, node: nodes.get(cpu) ?? 0 };
  });
}
