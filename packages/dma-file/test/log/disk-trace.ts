const SECTOR_BYTES = 512;

/** One thing that happened to the disk, in the order in which it completed. */
export type Event =
  | {
      readonly kind: 'write';
      readonly inode: number;
      readonly position: number;
      readonly bytes: Buffer;
      /** Survives by itself, with the size that it needs; says nothing about other writes. */
      readonly isDurable: boolean;
      /** Sectors, by where they are in `bytes`, that never came to the medium: the write failed, or a sync after it. */
      readonly lost: Set<number>;
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

/** What is on a disk. */
export interface DiskContent {
  readonly names: ReadonlyMap<string, number>;
  readonly files: Map<number, Buffer>;
}

/** How many events of each file are durable. */
function certainEvents(events: readonly Event[]): Map<number, number> {
  const certain = new Map<number, number>();
  for (const event of events) {
    if (event.kind === 'sync')
      certain.set(event.inode, Math.max(certain.get(event.inode) ?? 0, event.covers));
  }
  return certain;
}

function isCertain(event: Event, index: number, certain: ReadonlyMap<number, number>): boolean {
  if (event.kind === 'write' && event.isDurable) return true;
  return 'inode' in event && index < (certain.get(event.inode) ?? 0);
}

/** Applies a write or a change of size; of a write only the units that are `kept`. */
export function applied(
  file: Buffer,
  event: Event,
  unitBytes: number = SECTOR_BYTES,
  kept: () => boolean = () => true,
): Buffer {
  if (event.kind === 'resize') return resized(file, event.size, event.grows);
  if (event.kind !== 'write') return file;
  let result = file;
  for (let unit = 0; unit < event.bytes.length; unit += unitBytes) {
    if (!kept()) continue;
    const unitEnd = Math.min(unit + unitBytes, event.bytes.length);
    for (let at = unit; at < unitEnd; at += SECTOR_BYTES) {
      if (event.lost.has(at)) continue;
      const end = Math.min(at + SECTOR_BYTES, unitEnd);
      result = resized(result, event.position + end, true);
      event.bytes.copy(result, event.position + at, at, end);
    }
  }
  return result;
}

/**
 * What a power cut after these events could leave: everything that was synced, and of the rest any units of bytes,
 * whatever order they were written in. Changes of names reach the disk in their order, as in a journal.
 */
export function survivors(events: readonly Event[], choose: Choose, unitBytes: number): DiskContent {
  const certain = certainEvents(events);
  let certainNames = 0;
  for (const event of events) {
    if (event.kind === 'syncNames') certainNames = Math.max(certainNames, event.covers);
  }
  const uncertainNames = events.filter((event, i) => event.kind === 'names' && i >= certainNames);
  let namesLeft = choose(uncertainNames.length + 1);
  let names: ReadonlyMap<string, number> = new Map();
  const files = new Map<number, Buffer>();
  events.forEach((event, i) => {
    if (event.kind === 'names') {
      if (i < certainNames || namesLeft-- > 0) names = event.names;
    } else if (event.kind === 'write' || event.kind === 'resize') {
      const file = files.get(event.inode) ?? Buffer.alloc(0);
      const isSafe = isCertain(event, i, certain);
      const kept = (): boolean => isSafe || choose(2) === 1;
      if (event.kind === 'write') files.set(event.inode, applied(file, event, unitBytes, kept));
      else if (kept()) files.set(event.inode, applied(file, event));
    }
  });
  for (const inode of names.values()) {
    if (!files.has(inode)) files.set(inode, Buffer.alloc(0));
  }
  return { names, files };
}

/**
 * A sync that covered so many events of a file has failed: of what was not durable the device has dropped some
 * sectors, and no later sync brings them back. Gives what the file has now.
 */
export function dropUnsynced(
  events: readonly Event[],
  inode: number,
  covers: number,
  choose: Choose,
): Buffer {
  const certain = certainEvents(events);
  let file: Buffer = Buffer.alloc(0);
  events.forEach((event, i) => {
    if (!('inode' in event) || event.inode !== inode) return;
    if (event.kind === 'write' && i < covers && !isCertain(event, i, certain)) loseSome(event, choose);
    file = applied(file, event);
  });
  return file;
}

/** Some sectors of a write never come to the medium. */
export function loseSome(event: Event & { kind: 'write' }, choose: Choose): void {
  for (let at = 0; at < event.bytes.length; at += SECTOR_BYTES) {
    if (choose(2) === 0) event.lost.add(at);
  }
}

/** A file with another size; one that only grows keeps what it has. */
export function resized(file: Buffer, size: number, grows: boolean): Buffer {
  if (file.length === size || (grows && file.length > size)) return file;
  const result = Buffer.alloc(size);
  file.copy(result, 0, 0, size);
  return result;
}
