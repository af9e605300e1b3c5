import { type Completion, heapArena, ShardMemory } from '@sunstar/runtime';
import type { AppendTarget, OneShotTimer } from '../../src/appender/append-target.js';
import type { SegmentStorage } from '../../src/log/segment-storage.js';

const SECTOR_BYTES = 512;
const PAGE_BYTES = 4096;
/** Turns of the microtasks without an operation after which nothing can come any more. */
const MAX_IDLE = 10_000;

/** One thing that happened to the disk, in the order in which it completed. */
type Event =
  | {
      readonly kind: 'write';
      readonly inode: number;
      readonly position: number;
      readonly bytes: Buffer;
      /** Survives by itself, with the size that it needs; says nothing about other writes. */
      readonly isDurable: boolean;
    }
  | { readonly kind: 'resize'; readonly inode: number; readonly size: number; readonly grows: boolean }
  /** Everything that happened to the file before event `covers` is durable. */
  | { readonly kind: 'sync'; readonly inode: number; readonly covers: number }
  | { readonly kind: 'names'; readonly names: ReadonlyMap<string, number> }
  | { readonly kind: 'syncNames'; readonly covers: number }
  /** Not the disk's: what the test was promised by then. */
  | { readonly kind: 'note'; readonly value: number };

/** Chooses one of so many outcomes: 0 to `count` − 1. */
export type Choose = (count: number) => number;

/** Every sequence of choices, one after the other, for a run whose choices do not depend on each other. */
export class AllChoices {
  readonly #chosen: number[] = [];
  readonly #counts: number[] = [];
  #at = 0;

  readonly choose: Choose = (count) => {
    if (this.#at === this.#chosen.length) {
      this.#chosen.push(0);
      this.#counts.push(count);
    }
    if (this.#counts[this.#at] !== count) throw new Error('a choice depends on an earlier one');
    return this.#chosen[this.#at++];
  };

  /** How many sequences there are, known after the first run. */
  get total(): number {
    return this.#counts.reduce((product, count) => product * count, 1);
  }

  /** Goes to the next sequence; false after the last one. */
  next(): boolean {
    this.#at = 0;
    for (let i = this.#chosen.length - 1; i >= 0; i--) {
      if (++this.#chosen[i] < this.#counts[i]) return true;
      this.#chosen[i] = 0;
    }
    return false;
  }
}

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

  note(value: number): void {
    this.events.push({ kind: 'note', value });
  }

  lock(): Promise<{ close(): Promise<void> }> {
    return Promise.resolve({ close: () => Promise.resolve() });
  }

  list(): Promise<string[]> {
    return this.#later(() => [...this.#names.keys()]);
  }

  open(name: string, create: boolean): Promise<AppendTarget> {
    return this.#later(() => {
      let inode = this.#names.get(name);
      if (inode === undefined) {
        if (!create) throw new Error(`no file ${name}`);
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
    return this.#later(() => {
      const inode = this.#names.get(from);
      if (inode === undefined) throw new Error(`no file ${from}`);
      this.#rename((names) => {
        names.delete(from);
        names.set(to, inode);
      });
    });
  }

  remove(name: string): Promise<void> {
    return this.#later(() => {
      if (!this.#names.has(name)) throw new Error(`no file ${name}`);
      this.#rename((names) => names.delete(name));
    });
  }

  sync(): Promise<void> {
    const covers = this.events.length;
    return this.#later(() => {
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
    const events = this.events.slice(0, eventCount);
    const disk = new SimulatedDisk(this.#random);
    const certain = new Map<number, number>();
    let certainNames = 0;
    for (const event of events) {
      if (event.kind === 'sync')
        certain.set(event.inode, Math.max(certain.get(event.inode) ?? 0, event.covers));
      if (event.kind === 'syncNames') certainNames = Math.max(certainNames, event.covers);
    }
    const uncertainNames = events.filter((event, i) => event.kind === 'names' && i >= certainNames);
    let namesLeft = choose(uncertainNames.length + 1);
    events.forEach((event, i) => {
      if (event.kind === 'names') {
        if (i < certainNames || namesLeft-- > 0) disk.#names = new Map(event.names);
      } else if (event.kind === 'write' || event.kind === 'resize') {
        const isCertain = i < (certain.get(event.inode) ?? 0) || (event.kind === 'write' && event.isDurable);
        let file = disk.#files.get(event.inode) ?? Buffer.alloc(0);
        if (event.kind === 'resize') {
          if (isCertain || choose(2) === 1) file = resized(file, event.size, event.grows);
        } else {
          for (let at = 0; at < event.bytes.length; at += unitBytes) {
            if (!isCertain && choose(2) === 0) continue;
            const end = Math.min(at + unitBytes, event.bytes.length);
            file = resized(file, event.position + end, true);
            event.bytes.copy(file, event.position + at, at, end);
          }
        }
        disk.#files.set(event.inode, file);
      }
    });
    for (const inode of disk.#names.values()) {
      if (!disk.#files.has(inode)) disk.#files.set(inode, Buffer.alloc(0));
    }
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
        events.push({ kind: 'write', inode, position, bytes, isDurable });
        const file = resized(this.#content(inode), position + length, true);
        bytes.copy(file, position);
        this.#files.set(inode, file);
        completion.complete(length, 0);
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
          events.push({ kind: 'sync', inode, covers });
          completion.complete(0, 0);
        });
      },
      submitAllocate: (completion, position, length) => {
        this.#pending.push(() => {
          this.#resize(inode, position + length, true);
          completion.complete(0, 0);
        });
      },
      submitTruncate: (completion, size) => {
        this.#pending.push(() => {
          this.#resize(inode, size, false);
          completion.complete(0, 0);
        });
      },
      size: () => this.#later(() => this.#content(inode).length),
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
        this.#later(() => {
          this.#openFiles--;
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

  #later<T>(work: () => T): Promise<T> {
    return new Promise((resolve, reject) => {
      this.#pending.push(() => {
        try {
          resolve(work());
        } catch (error) {
          reject(error instanceof Error ? error : new Error(String(error)));
        }
      });
    });
  }
}

/** A file with another size; one that only grows keeps what it has. */
function resized(file: Buffer, size: number, grows: boolean): Buffer {
  if (file.length === size || (grows && file.length > size)) return file;
  const result = Buffer.alloc(size);
  file.copy(result, 0, 0, size);
  return result;
}
