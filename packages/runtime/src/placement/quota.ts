import { SystemFiles } from '../system-files.js';

/**
 * How many CPUs' worth of time the process's control group grants, the smallest of it and the groups around it;
 * infinite without a quota. Reads both versions of control groups.
 *
 * @param root - The directory that stands for `/`.
 */
export function cpuQuota(root = '/'): number {
  const files = new SystemFiles(root);
  let quota = Number.POSITIVE_INFINITY;
  for (const line of (files.read('proc/self/cgroup') ?? '').split('\n')) {
    const [, controllers, ...rest] = line.split(':');
    const names = controllers?.split(',') ?? [];
    const groups = ancestors(rest.join(':'));
    if (controllers === '') {
      for (const mount of ['sys/fs/cgroup', 'sys/fs/cgroup/unified']) {
        for (const group of groups) quota = Math.min(quota, quotaVersion2(files, mount + group));
      }
    } else if (names.includes('cpu')) {
      for (const mount of ['sys/fs/cgroup/cpu', `sys/fs/cgroup/${controllers}`]) {
        for (const group of groups) quota = Math.min(quota, quotaVersion1(files, mount + group));
      }
    }
  }
  return quota;
}

/**
 * A group and those around it. In a container without a cgroup namespace the path is that of the host, of which only
 * the end is mounted: the root is the container's own group then.
 */
function ancestors(group: string): string[] {
  const parts = group.split('/').filter((part) => part !== '');
  // A group outside of the namespace is written with dots, and cannot be seen.
  if (parts.includes('..')) return [''];
  const groups: string[] = [];
  for (let length = parts.length; length > 0; length--) groups.push(`/${parts.slice(0, length).join('/')}`);
  return [...groups, ''];
}

function quotaVersion2(files: SystemFiles, directory: string): number {
  const [quotaUs, periodUs] = (files.read(`${directory}/cpu.max`) ?? 'max').split(/\s+/);
  return share(Number(quotaUs), Number(periodUs));
}

function quotaVersion1(files: SystemFiles, directory: string): number {
  const quotaUs = Number(files.read(`${directory}/cpu.cfs_quota_us`) ?? -1);
  return share(quotaUs, Number(files.read(`${directory}/cpu.cfs_period_us`) ?? 100_000));
}

function share(quotaUs: number, periodUs: number): number {
  return quotaUs > 0 && periodUs > 0 ? quotaUs / periodUs : Number.POSITIVE_INFINITY;
}
