import { mkdirSync, readFileSync, rmdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

const ROOT = '/sys/fs/cgroup';

/** What a control group limits. */
export interface Limits {
  /** CPUs' worth of time. */
  readonly cpus?: number;
  /** A list such as `0-1`. */
  readonly cpuset?: string;
  readonly memoryBytes?: number;
}

type Controller = keyof Limits;

interface Version {
  directory(controller: Controller): string;
  prepare(controller: Controller): void;
  write(controller: Controller, directory: string, limit: number | string): void;
}

const put = (directory: string, file: string, value: number | string): void =>
  writeFileSync(join(directory, file), String(value));

/** One hierarchy for each controller. */
const FIRST: Version = {
  directory: (controller) => join(ROOT, { cpus: 'cpu', cpuset: 'cpuset', memoryBytes: 'memory' }[controller]),
  prepare() {},
  write(controller, directory, limit) {
    if (controller === 'cpus') {
      put(directory, 'cpu.cfs_period_us', 100_000);
      put(directory, 'cpu.cfs_quota_us', Number(limit) * 100_000);
    } else if (controller === 'cpuset') {
      put(directory, 'cpuset.cpus', limit);
      put(directory, 'cpuset.mems', 0);
    } else put(directory, 'memory.limit_in_bytes', limit);
  },
};

/** One hierarchy for all controllers. */
const SECOND: Version = {
  directory: () => ROOT,
  prepare(controller) {
    const name = { cpus: 'cpu', cpuset: 'cpuset', memoryBytes: 'memory' }[controller];
    if (!readFileSync(join(ROOT, 'cgroup.controllers'), 'utf8').split(/\s+/).includes(name))
      throw new Error(name);
    put(ROOT, 'cgroup.subtree_control', `+${name}`);
  },
  write(controller, directory, limit) {
    if (controller === 'cpus') put(directory, 'cpu.max', `${Number(limit) * 100_000} 100000`);
    else if (controller === 'cpuset') put(directory, 'cpuset.cpus', limit);
    else put(directory, 'memory.max', limit);
  },
};

let made = 0;

/** Real control groups of this machine, for a process that is started in them. */
export class ControlGroup implements Disposable {
  readonly #directories = new Set<string>();

  /** @throws where this process may make none */
  constructor(limits: Limits) {
    const name = `sunstar-test-${process.pid}-${made++}`;
    try {
      for (const [key, limit] of Object.entries(limits) as [Controller, number | string][]) {
        const version = versionOf(key);
        version.prepare(key);
        const directory = join(version.directory(key), name);
        if (!this.#directories.has(directory)) mkdirSync(directory);
        this.#directories.add(directory);
        version.write(key, directory, limit);
      }
    } catch (error) {
      this[Symbol.dispose]();
      throw error;
    }
  }

  /** Shell commands that put the shell that runs them into the groups. */
  get entering(): string {
    return [...this.#directories].map((one) => `echo $$ > '${one}/cgroup.procs' &&`).join(' ');
  }

  /** Whoever was inside must have ended. */
  [Symbol.dispose](): void {
    for (const directory of this.#directories) rmdirSync(directory);
    this.#directories.clear();
  }
}

function versionOf(controller: Controller): Version {
  try {
    readFileSync(join(FIRST.directory(controller), 'cgroup.procs'));
    return FIRST;
  } catch {
    return SECOND;
  }
}

/** Whether this process may make control groups with such limits. */
export function canLimit(limits: Limits): boolean {
  try {
    using group = new ControlGroup(limits);
    return group.entering !== '';
  } catch {
    return false;
  }
}
