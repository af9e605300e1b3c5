import { allowedCpus, cpuQuota } from '../placement/index.js';
import type { BackendChoice } from '../reactor/index.js';
import { formatSize } from '../size.js';
import { SystemFiles } from '../system-files.js';

/** Something about the machine or the process that costs speed or safety, and what to do about it. */
export interface Advice {
  /** Stable identifier, `SUNSTAR_ADVICE_…`. */
  readonly code: string;
  /** `warn` for what will fail or stall sooner or later, `info` for what could be faster. */
  readonly severity: 'warn' | 'info';
  /** What was found, and why it matters. */
  readonly message: string;
  /** What to do, for whoever runs the machine. */
  readonly remedy: string;
}

/** What {@link startupAdvice} is about. */
export interface AdviceOptions {
  /** The directory that stands for `/`. @default '/' */
  readonly root?: string;
  /** What was chosen when the shards were started. @default left to what the files of the machine tell */
  readonly backend?: BackendChoice;
  /** Memory of all shards together in bytes. @default not checked */
  readonly memoryBytes?: number;
  /** Memory that the process may use, in bytes. @default not checked */
  readonly usableBytes?: number;
}

/** Descriptors below which a server runs out early. */
const DESCRIPTORS = 65_536;
const FEW_DESCRIPTORS = 8192;
/** Locked memory below which zero-copy sends fail under load. */
const LOCKED_BYTES = 64 * 1024 * 1024;
/** As many connections wait to be accepted by default. */
const BACKLOG = 511;
const CAP_IPC_LOCK = 14;
const CAP_SYS_ADMIN = 21;
/** Clocks that are read without a system call. */
const FAST_CLOCKS = [
  'tsc',
  'kvm-clock',
  'arch_sys_counter',
  'hyperv_clocksource_tsc_page',
  'riscv_clocksource',
];

type Check = (files: SystemFiles, options: AdviceOptions) => Advice | undefined;

/**
 * Checks the machine and the process for what makes shards slow or stops them later; changes nothing.
 * `Runtime.start()` logs the result once in a process.
 *
 * @returns What should be changed, the urgent first; empty when all is well. What cannot be found out is left out.
 */
export function startupAdvice(options: AdviceOptions = {}): Advice[] {
  const files = new SystemFiles(options.root);
  const found = CHECKS.map((check) => check(files, options)).filter((advice) => advice !== undefined);
  return [
    ...found.filter(({ severity }) => severity === 'warn'),
    ...found.filter(({ severity }) => severity === 'info'),
  ];
}

function warn(code: string, message: string, remedy: string): Advice {
  return { code: `SUNSTAR_ADVICE_${code}`, severity: 'warn', message, remedy };
}

function info(code: string, message: string, remedy: string): Advice {
  return { code: `SUNSTAR_ADVICE_${code}`, severity: 'info', message, remedy };
}

function emulation(_: SystemFiles, { backend }: AdviceOptions): Advice | undefined {
  return backend === undefined ? undefined : backendAdvice(backend);
}

/** About rings that are emulated although nobody asked for that. */
export function backendAdvice({ obstacle }: BackendChoice): Advice | undefined {
  if (obstacle === undefined) return undefined;
  return warn(
    'EMULATED',
    `io_uring cannot be used, so the rings are emulated: everything works, more slowly. ${obstacle.message}`,
    obstacle.code === 'SUNSTAR_IO_URING_FORBIDDEN'
      ? 'Allow the io_uring system calls (Docker: a seccomp profile with io_uring_setup, io_uring_enter and io_uring_register), or set `backend` to emulated to silence this.'
      : 'Run on Linux 6.1 or newer, or set `backend` to emulated to silence this.',
  );
}

function kernel(files: SystemFiles, { backend }: AdviceOptions): Advice | undefined {
  if (backend?.backend === 'emulated') return undefined;
  const release = files.read('proc/sys/kernel/osrelease') ?? '';
  const [major, minor] = /^(\d+)\.(\d+)/.exec(release)?.slice(1).map(Number) ?? [];
  if (major === undefined || major > 6 || (major === 6 && minor >= 1)) return undefined;
  if (major < 6)
    return warn(
      'KERNEL',
      `The io_uring of Linux ${release} lacks what sunstar needs: the rings are emulated, which is slower.`,
      'Run on Linux 6.1 or newer.',
    );
  return info(
    'KERNEL',
    `Linux ${release} cannot defer the work of completions to the shard (IORING_SETUP_DEFER_TASKRUN).`,
    'Run on Linux 6.1 or newer.',
  );
}

function ioUring(files: SystemFiles, { backend }: AdviceOptions): Advice | undefined {
  if (backend?.backend === 'emulated') return undefined;
  const disabled = Number(files.read('proc/sys/kernel/io_uring_disabled') ?? 0);
  if (disabled === 0 || (disabled === 1 && hasCapability(files, CAP_SYS_ADMIN))) return undefined;
  return warn(
    'IO_URING',
    disabled === 1
      ? 'The sysctl kernel.io_uring_disabled lets only members of the group kernel.io_uring_group use io_uring.'
      : 'The sysctl kernel.io_uring_disabled forbids io_uring.',
    'Set kernel.io_uring_disabled=0, or =1 and add the user to kernel.io_uring_group.',
  );
}

function descriptors(files: SystemFiles): Advice | undefined {
  const [, hard] = limit(files, 'Max open files');
  if (!(hard < DESCRIPTORS)) return undefined;
  return (hard < FEW_DESCRIPTORS ? warn : info)(
    'DESCRIPTORS',
    `This process may open ${hard} files and sockets.`,
    `Raise the hard limit to ${DESCRIPTORS} or more: \`ulimit -Hn\`, LimitNOFILE= of systemd, --ulimit of Docker.`,
  );
}

function lockedMemory(files: SystemFiles): Advice | undefined {
  const [soft] = limit(files, 'Max locked memory');
  if (!(soft < LOCKED_BYTES) || hasCapability(files, CAP_IPC_LOCK)) return undefined;
  return info(
    'LOCKED_MEMORY',
    `This process may lock ${formatSize(soft)} of memory. Zero-copy sends lock what they send, and fail beyond.`,
    `Raise the limit to ${formatSize(LOCKED_BYTES)} or more: \`ulimit -l\`, LimitMEMLOCK= of systemd.`,
  );
}

function memory(_: SystemFiles, { memoryBytes, usableBytes }: AdviceOptions): Advice | undefined {
  if (memoryBytes === undefined || usableBytes === undefined || memoryBytes <= usableBytes) return undefined;
  return warn(
    'MEMORY',
    `The shards' memory may grow to ${formatSize(memoryBytes)}, but this process may use ${formatSize(usableBytes)}.`,
    'Choose less `memory`, or raise the limit of the container: else the kernel ends the process when it fills up.',
  );
}

function overcommit(files: SystemFiles): Advice | undefined {
  if (files.read('proc/sys/vm/overcommit_memory') !== '2') return undefined;
  return warn(
    'OVERCOMMIT',
    'With vm.overcommit_memory=2 memory counts when it is reserved. Shards and Node reserve much more than they use.',
    'Set vm.overcommit_memory to 0 or 1.',
  );
}

function swap(files: SystemFiles): Advice | undefined {
  const devices = (files.read('proc/swaps') ?? '').split('\n').length - 1;
  const swappiness = Number(files.read('proc/sys/vm/swappiness') ?? 60);
  if (devices < 1 || swappiness <= 1) return undefined;
  return info(
    'SWAP',
    `This machine swaps (vm.swappiness=${swappiness}). A shard that touches swapped memory stands still until it is read.`,
    'Switch swap off for this service (MemorySwapMax=0 of systemd), or set vm.swappiness=1.',
  );
}

function hugePages(files: SystemFiles): Advice | undefined {
  if (!(files.read('sys/kernel/mm/transparent_hugepage/enabled') ?? '').includes('[never]')) return undefined;
  return info(
    'HUGE_PAGES',
    'Transparent huge pages are off: a large arena costs more misses of the TLB.',
    'Write `madvise` to /sys/kernel/mm/transparent_hugepage/enabled.',
  );
}

function governor(files: SystemFiles, { root }: AdviceOptions): Advice | undefined {
  const slow = new Set<string>();
  for (const cpu of allowedCpus(root)) {
    const name = files.read(`sys/devices/system/cpu/cpu${cpu}/cpufreq/scaling_governor`);
    if (name !== undefined && name !== 'performance') slow.add(name);
  }
  if (slow.size === 0) return undefined;
  return info(
    'GOVERNOR',
    `The CPU frequency governor is ${[...slow].join(', ')}: cores slow down when idle, and need time to speed up.`,
    'Use the governor `performance`: `cpupower frequency-set -g performance`.',
  );
}

function clock(files: SystemFiles): Advice | undefined {
  const name = files.read('sys/devices/system/clocksource/clocksource0/current_clocksource');
  if (name === undefined || FAST_CLOCKS.includes(name)) return undefined;
  return info(
    'CLOCK',
    `The clock source is ${name}: each look at the clock is a system call, and a shard looks often.`,
    'Find out from `dmesg | grep -i tsc` why the kernel does not trust the TSC.',
  );
}

function numaBalancing(files: SystemFiles): Advice | undefined {
  const nodes = files.list('sys/devices/system/node').filter((name) => /^node\d+$/.test(name));
  if (nodes.length < 2 || Number(files.read('proc/sys/kernel/numa_balancing') ?? 0) === 0) return undefined;
  return info(
    'NUMA_BALANCING',
    'The kernel unmaps memory now and then to see who uses it (kernel.numa_balancing). Pinned shards only lose by that.',
    'Set kernel.numa_balancing=0.',
  );
}

function quota(_: SystemFiles, { root }: AdviceOptions): Advice | undefined {
  const cpus = cpuQuota(root);
  if (!(cpus < allowedCpus(root).length)) return undefined;
  return info(
    'CPU_QUOTA',
    `The control group grants ${Number(cpus.toFixed(2))} CPUs' worth of time: all shards stand still when it is used up.`,
    'Give the container whole CPUs (a cpuset; the static CPU manager policy of Kubernetes) instead of a quota.',
  );
}

function backlog(files: SystemFiles): Advice | undefined {
  const most = Number(files.read('proc/sys/net/core/somaxconn') ?? BACKLOG);
  if (most >= BACKLOG) return undefined;
  return info(
    'BACKLOG',
    `At most ${most} connections can wait to be accepted (net.core.somaxconn); listeners ask for ${BACKLOG}.`,
    'Set net.core.somaxconn=4096.',
  );
}

const CHECKS: readonly Check[] = [
  emulation,
  ioUring,
  kernel,
  memory,
  overcommit,
  descriptors,
  lockedMemory,
  swap,
  hugePages,
  governor,
  clock,
  numaBalancing,
  quota,
  backlog,
];

/** The soft and the hard limit of `/proc/self/limits`, NaN when unknown. */
function limit(files: SystemFiles, name: string): [soft: number, hard: number] {
  const words = (files.field('proc/self/limits', name) ?? '').split(/\s+/);
  const [soft, hard] = words.map((word) =>
    word === 'unlimited' ? Number.POSITIVE_INFINITY : Number.parseInt(word, 10),
  );
  return [soft ?? Number.NaN, hard ?? Number.NaN];
}

function hasCapability(files: SystemFiles, bit: number): boolean {
  const mask = BigInt(`0x${files.field('proc/self/status', 'CapEff') ?? '0'}`);
  return ((mask >> BigInt(bit)) & 1n) === 1n;
}
