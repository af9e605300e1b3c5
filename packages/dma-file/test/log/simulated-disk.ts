import { type Completion, ERRNO, heapArena, ShardMemory, systemError } from '@sunstar/runtime';
import type { AppendTarget, OneShotTimer } from '../../src/appender/append-target.js';
import type { SegmentStorage } from '../../src/log/segment-storage.js';
import {
  applied,
  type Choose,
  dropUnsynced,
  type Event,
  loseSome,
  resized,
  survivors,
} from './disk-trace.js';

export { AllChoices, type Choose } from './disk-trace.js';

const SECTOR_BYTES = 512;
const PAGE_BYTES = 4096;
const { ENOENT } = ERRNO;
/** Turns of the microtasks without an operation after which nothing can come any more. */
const MAX_IDLE = 10_000;

/** A disk that records what happens to it, and knows what a power cut at any moment could leave. */
export class SimulatedDisk implements SegmentStorage {
  readonly memory: ShardMemory = new ShardMemory(heapArena(1 << 20));
  readonly events: Event[] = [];
  readonly #files = new Map<number, Buffer>();
  readonly #random: () => number;
  #names = new Map<string, number>();
  #pending: (() => void)[] = [];
  #nextInode = 0;
  #openFiles = 0;
  /** Errors, by the number of the operation that fails. */
  readonly #faults = new Map<number, number>();
  #operations = 0;

  constructor(random: () => number) {
    this.#random = random;
  }

  get openFiles(): number {
    return this.#openFiles;
  }

  /** Completes what is pending, in any order, until a promise settles. */
  async run<T>(promise: Promise<T>): Promise<T> {
    let isSettled = false;
    const done = (): void => {
      isSettled = true;
    };
    promise.then(done, done);
    for (let idle = 0; !isSettled && idle < MAX_IDLE; ) {
      await Promise.resolve();
      if (this.#pending.length === 0) {
        idle++;
        continue;
      }
      idle = 0;
      const index = Math.floor(this.#random() * this.#pending.length);
      const [complete] = this.#pending.splice(index, 1);
      complete();
    }
    if (!isSettled) throw new Error('stuck: nothing is pending and the promise is not settled');
    return promise;
  }

  /** Completes some of what is pending. */
  async some(count: number): Promise<void> {
    for (let i = 0; i < count; i++) {
      for (let turn = 0; turn < 5; turn++) await Promise.resolve();
      if (this.#pending.length === 0) continue;
      const index = Math.floor(this.#random() * this.#pending.length);
      const [complete] = this.#pending.splice(index, 1);
      complete();
    }
  }

  /** Lets an operation fail that is to come, with a negative error number: the next one is number 0. */
  failAt(number: number, error: number): void {
    this.#faults.set(this.#operations + number, error);
  }

  /** No operation fails any more. */
  heal(): void {
    this.#faults.clear();
  }

  /**
   * The disk as the next process finds it after this one was killed, with the power on: what was under way is done or
   * not, and nothing became durable by it.
   */
  afterKill(): SimulatedDisk {
    for (const complete of this.#pending.splice(0)) if (this.#choose(2) === 0) complete();
    const disk = new SimulatedDisk(this.#random);
    disk.#names = new Map(this.#names);
    for (const [inode, file] of this.#files) disk.#files.set(inode, file);
    disk.#nextInode = this.#nextInode;
    disk.events.push(...this.events);
    return disk;
  }

  note(value: number): void {
    this.events.push({ kind: 'note', value });
  }

  lock(): Promise<{ close(): Promise<void> }> {
    return Promise.resolve({ close: () => Promise.resolve() });
  }

  list(): Promise<string[]> {
    return this.#later('readdir', '', () => [...this.#names.keys()]);
  }

  open(name: string, create: boolean): Promise<AppendTarget> {
    return this.#later('openat', name, () => {
      let inode = this.#names.get(name);
      if (inode === undefined) {
        if (!create) throw systemError('openat', -ENOENT, name);
        inode = this.#nextInode++;
        this.#files.set(inode, Buffer.alloc(0));
        this.#rename((names) => names.set(name, inode as number));
      } else if (create) {
        this.#resize(inode, 0, false);
      }
      return this.#file(name, inode);
    });
  }

  rename(from: string, to: string): Promise<void> {
    return this.#later('renameat', from, () => {
      const inode = this.#inode('renameat', from);
      this.#rename((names) => {
        names.delete(from);
        names.set(to, inode);
      });
    });
  }

  remove(name: string): Promise<void> {
    return this.#later('unlinkat', name, () => {
      this.#inode('unlinkat', name);
      this.#rename((names) => names.delete(name));
    });
  }

  sync(): Promise<void> {
    const covers = this.events.length;
    return this.#later('fsync', '', () => {
      this.events.push({ kind: 'syncNames', covers });
    });
  }

  /**
   * A disk as a power cut after so many events could leave it: everything that was synced, and of the rest any
   * units of bytes, whatever order they were written in. Changes of names reach it in their order, as in a journal.
   *
   * @param choose - Makes each choice between so many outcomes. Their number does not depend on earlier choices.
   */
  afterPowerCut(eventCount: number, choose: Choose, unitBytes = SECTOR_BYTES): SimulatedDisk {
    const disk = new SimulatedDisk(this.#random);
    const { names, files } = survivors(this.events.slice(0, eventCount), choose, unitBytes);
    disk.#names = new Map(names);
    for (const [inode, file] of files) disk.#put(inode, file);
    disk.events.push({ kind: 'names', names }, { kind: 'syncNames', covers: 1 });
    disk.#nextInode = this.#nextInode;
    return disk;
  }

  #file(path: string, inode: number): AppendTarget {
    this.#openFiles++;
    const { memory, events } = this;
    const write = (
      completion: Completion,
      position: number,
      offset: number,
      length: number,
      isDurable: boolean,
    ): void => {
      const bytes = Buffer.from(memory.bytes.subarray(offset, offset + length));
      this.#pending.push(() => {
        const error = this.#outcome();
        const event = { kind: 'write', inode, position, bytes, isDurable, lost: new Set<number>() } as const;
        if (error < 0) loseSome(event, this.#choose);
        events.push(error < 0 ? { ...event, isDurable: false } : event);
        this.#files.set(inode, applied(this.#content(inode), event));
        completion.complete(error < 0 ? error : length, 0);
      });
    };
    return {
      memory,
      pageBytes: PAGE_BYTES,
      path,
      shardCount: 1,
      nowMs: 0,
      submitRead: (completion, position, offset, length) => {
        this.#pending.push(() => {
          const error = this.#outcome();
          if (error < 0) {
            completion.complete(error, 0);
            return;
          }
          const file = this.#content(inode);
          const count = Math.max(0, Math.min(length, file.length - position));
          memory.bytes.fill(0xee, offset, offset + length);
          file.copy(memory.bytes, offset, position, position + count);
          completion.complete(count, 0);
        });
      },
      submitWrite: (completion, position, offset, length) =>
        write(completion, position, offset, length, false),
      submitDurableWrite: (completion, position, offset, length) =>
        write(completion, position, offset, length, true),
      submitSync: (completion) => {
        const covers = events.length;
        this.#pending.push(() => {
          const error = this.#outcome();
          if (error === 0) events.push({ kind: 'sync', inode, covers });
          else this.#files.set(inode, dropUnsynced(events, inode, covers, this.#choose));
          completion.complete(error, 0);
        });
      },
      submitAllocate: (completion, position, length) => {
        this.#pending.push(() => {
          const error = this.#outcome();
          if (error === 0) this.#resize(inode, position + length, true);
          completion.complete(error, 0);
        });
      },
      submitTruncate: (completion, size) => {
        this.#pending.push(() => {
          const error = this.#outcome();
          if (error === 0) this.#resize(inode, size, false);
          completion.complete(error, 0);
        });
      },
      size: () => this.#later('statx', path, () => this.#content(inode).length),
      freeDiskBytes: () => 1 << 30,
      defer: (task) => {
        this.#pending.push(() => task.complete(0, 0));
      },
      makeTimer: (completion): OneShotTimer => {
        let armed: (() => void) | null = null;
        const cancel = (): void => {
          this.#pending = this.#pending.filter((pending) => pending !== armed);
          armed = null;
        };
        return {
          arm: () => {
            if (armed !== null) return;
            armed = () => {
              armed = null;
              completion.complete(0, 0);
            };
            this.#pending.push(armed);
          },
          cancel,
          close: () => {
            cancel();
            return Promise.resolve();
          },
        };
      },
      close: () =>
        new Promise((resolve) => {
          this.#pending.push(() => {
            this.#openFiles--;
            resolve();
          });
        }),
    };
  }

  #content(inode: number): Buffer {
    return this.#files.get(inode) ?? Buffer.alloc(0);
  }

  #resize(inode: number, size: number, grows: boolean): void {
    this.events.push({ kind: 'resize', inode, size, grows });
    this.#files.set(inode, resized(this.#content(inode), size, grows));
  }

  #rename(change: (names: Map<string, number>) => void): void {
    const names = new Map(this.#names);
    change(names);
    this.#names = names;
    this.events.push({ kind: 'names', names });
  }

  /** A file as a power cut left it: all of it is durable. */
  #put(inode: number, file: Buffer): void {
    this.#files.set(inode, file);
    this.events.push({ kind: 'write', inode, position: 0, bytes: file, isDurable: true, lost: new Set() });
  }

  #inode(syscall: string, name: string): number {
    const inode = this.#names.get(name);
    if (inode === undefined) throw systemError(syscall, -ENOENT, name);
    return inode;
  }

  readonly #choose: Choose = (count) => Math.floor(this.#random() * count);

  /** What the operation that completes now ends with: 0, or the error that was asked for. */
  #outcome(): number {
    return this.#faults.get(this.#operations++) ?? 0;
  }

  #later<T>(syscall: string, path: string, work: () => T): Promise<T> {
    return new Promise((resolve, reject) => {
      this.#pending.push(() => {
        const error = this.#outcome();
        if (error < 0) {
          reject(systemError(syscall, error, path));
          return;
        }
        try {
          resolve(work());
        } catch (error) {
          reject(error instanceof Error ? error : new Error(String(error)));
        }
      });
    });
  }
}
