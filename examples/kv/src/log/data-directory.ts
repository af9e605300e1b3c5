import fs from 'node:fs';
import path from 'node:path';
import { crc32c } from '@sunstar/iobuf';
import { native } from '@sunstar/native';
import { directoryFailed, directoryForeign, directoryInUse } from './errors.js';

/**
 * The data directory:
 *
 * ```
 * LOCK                     locked by the instance that runs; holds its process id
 * CURRENT                  which epoch counts, and for how many shards it was written
 * epoch-E/shard-S/         the log of shard S: base-N, log-N, log-(N+1) …
 * ```
 *
 * A start with another number of shards writes the data anew into the next epoch. The one step that makes it count
 * is the renaming of CURRENT; whatever CURRENT does not name is left over and removed.
 */
const LOCK = 'LOCK';
const CURRENT = 'CURRENT';
const EPOCH = /^epoch-([1-9]\d{0,9})$/;
const FIRST_EPOCH = 1;

/** What CURRENT says. */
export interface Current {
  readonly epoch: number;
  readonly shards: number;
}

/** How the shards are to open their logs. Structured-cloneable. */
export interface DirectoryPlan {
  readonly path: string;
  /** The epoch that the shards write. */
  readonly epoch: number;
  readonly shards: number;
  /** Another epoch that has to be read into this one first, and then replaced by it. */
  readonly previous: Current | undefined;
}

/** Where a shard's log is. */
export function shardDirectory(directory: string, epoch: number, shard: number): string {
  return path.join(directory, `epoch-${epoch}`, `shard-${shard}`);
}

/** The data directory of a running server: locked from {@link open} to {@link close}. */
export class DataDirectory {
  readonly plan: DirectoryPlan;
  readonly #lockFd: number;

  private constructor(plan: DirectoryPlan, lockFd: number) {
    this.plan = plan;
    this.#lockFd = lockFd;
  }

  /**
   * Makes the directory if need be, locks it, and decides which epoch the shards open. Blocks the thread: for the
   * start only.
   *
   * @throws SunstarError SUNSTAR_KV_DIRECTORY_IN_USE, SUNSTAR_KV_DIRECTORY_FAILED, SUNSTAR_KV_DIRECTORY_FOREIGN
   */
  static open(directory: string, shards: number): DataDirectory {
    attempt(`make the data directory '${directory}'`, () => fs.mkdirSync(directory, { recursive: true }));
    const lockFd = lock(directory);
    try {
      const current = readCurrent(directory);
      const plan = attempt(`prepare the data directory '${directory}'`, () =>
        current === undefined
          ? beginDirectory(directory, shards)
          : continueDirectory(directory, shards, current),
      );
      return new DataDirectory(plan, lockFd);
    } catch (error) {
      fs.closeSync(lockFd);
      throw error;
    }
  }

  /** Lets another instance have the directory. */
  close(): void {
    fs.closeSync(this.#lockFd);
  }
}

/** Makes the plan's epoch the one that counts, then removes all others. For one shard, once all have written theirs. */
export function commitEpoch(plan: DirectoryPlan): void {
  attempt(`commit epoch ${plan.epoch} in '${plan.path}'`, () => {
    writeCurrent(plan.path, plan);
    removeOtherEpochs(plan.path, plan.epoch);
  });
}

/** Makes names that were created, renamed or removed in a directory survive a power cut. */
export function syncDirectory(directory: string): void {
  const fd = fs.openSync(directory, 'r');
  try {
    fs.fsyncSync(fd);
  } finally {
    fs.closeSync(fd);
  }
}

function lock(directory: string): number {
  const file = path.join(directory, LOCK);
  const what = `lock the data directory '${directory}'`;
  const flags = fs.constants.O_RDWR | fs.constants.O_CREAT;
  const fd = attempt(what, () => fs.openSync(file, flags, 0o644));
  try {
    if (native.tryLock(fd) < 0)
      throw directoryInUse(directory, fs.readFileSync(fd, 'latin1').trim() || 'unknown');
    attempt(what, () => {
      fs.ftruncateSync(fd, 0);
      fs.writeSync(fd, `${process.pid}\n`, 0);
    });
    return fd;
  } catch (error) {
    fs.closeSync(fd);
    throw error;
  }
}

function beginDirectory(directory: string, shards: number): DirectoryPlan {
  // Without CURRENT there can be directories that an interrupted first start made, but no data in them.
  for (const epoch of epochsIn(directory)) {
    for (const name of fs.readdirSync(path.join(directory, epoch), {
      recursive: true,
      withFileTypes: true,
    })) {
      if (!name.isDirectory())
        throw directoryForeign(path.join(directory, epoch), 'holds data, but CURRENT is missing');
    }
  }
  const current: Current = { epoch: FIRST_EPOCH, shards };
  makeEpoch(directory, current);
  writeCurrent(directory, current);
  removeOtherEpochs(directory, current.epoch);
  return { path: directory, ...current, previous: undefined };
}

function continueDirectory(directory: string, shards: number, current: Current): DirectoryPlan {
  removeOtherEpochs(directory, current.epoch);
  if (current.shards === shards) return { path: directory, ...current, previous: undefined };
  const next: Current = { epoch: current.epoch + 1, shards };
  makeEpoch(directory, next);
  return { path: directory, ...next, previous: current };
}

function makeEpoch(directory: string, { epoch, shards }: Current): void {
  for (let shard = 0; shard < shards; shard++) {
    fs.mkdirSync(shardDirectory(directory, epoch, shard), { recursive: true });
  }
  syncDirectory(path.join(directory, `epoch-${epoch}`));
  syncDirectory(directory);
}

function epochsIn(directory: string): string[] {
  return fs.readdirSync(directory).filter((name) => EPOCH.test(name));
}

function removeOtherEpochs(directory: string, epoch: number): void {
  const others = epochsIn(directory).filter((name) => name !== `epoch-${epoch}`);
  for (const name of others) fs.rmSync(path.join(directory, name), { recursive: true, force: true });
  if (others.length > 0) syncDirectory(directory);
}

function currentText({ epoch, shards }: Current): string {
  return `sunstar-kv 1\nepoch ${epoch}\nshards ${shards}\n`;
}

function writeCurrent(directory: string, current: Current): void {
  const text = currentText(current);
  const file = path.join(directory, CURRENT);
  const fd = fs.openSync(`${file}.tmp`, 'w', 0o644);
  try {
    fs.writeSync(fd, `${text}crc32c ${crc32c(Buffer.from(text)).toString(16)}\n`);
    fs.fsyncSync(fd);
  } finally {
    fs.closeSync(fd);
  }
  fs.renameSync(`${file}.tmp`, file);
  syncDirectory(directory);
}

/** What CURRENT says; undefined when there is none. */
export function readCurrent(directory: string): Current | undefined {
  const file = path.join(directory, CURRENT);
  let text: string;
  try {
    text = fs.readFileSync(file, 'latin1');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw directoryFailed(`read '${file}'`, error);
  }
  const match = /^(sunstar-kv 1\nepoch (\d+)\nshards (\d+)\n)crc32c ([0-9a-f]+)\n$/.exec(text);
  if (match === null || crc32c(Buffer.from(match[1])).toString(16) !== match[4]) {
    throw directoryForeign(file, 'is not what this program writes there');
  }
  return { epoch: Number(match[2]), shards: Number(match[3]) };
}

/** Runs file system calls; a failure says what was tried, and what to do about it. */
function attempt<T>(what: string, body: () => T): T {
  try {
    return body();
  } catch (error) {
    if (typeof (error as NodeJS.ErrnoException).syscall !== 'string') throw error;
    throw directoryFailed(what, error);
  }
}
