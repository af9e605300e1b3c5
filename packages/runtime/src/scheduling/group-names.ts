import { SunstarError } from '../errors.js';
import { DEFAULT_GROUP_ID } from './current-group.js';
import { MAX_GROUPS, MAX_NAME_LENGTH } from './groups.js';

const FREE = 0;
const BEING_WRITTEN = 1;
const TAKEN = 2;

/** Of an entry: its state, the length of the name, and its code units, two in a word. */
const ENTRY_WORDS = 2 + MAX_NAME_LENGTH / 2;
/** A shard that writes a name takes microseconds; one that is ended while it does never finishes. */
const PATIENCE_MS = 1_000;

/** The memory of {@link GroupNames}, for all shards of a runtime. */
export function createGroupNames(): SharedArrayBuffer {
  return new SharedArrayBuffer(MAX_GROUPS * ENTRY_WORDS * 4);
}

/**
 * Which id a name has, the same for all shards whatever the order in which they make their groups. Entries are taken
 * from the front and never given back, so a reader that finds a free one has seen all names.
 */
export class GroupNames {
  readonly #words: Int32Array;

  constructor(shared: SharedArrayBuffer) {
    this.#words = new Int32Array(shared, 0, shared.byteLength / 4);
  }

  /**
   * The id of a name, which it gets now if it has none.
   *
   * @param name - 1 to 64 UTF-16 code units.
   * @throws SunstarError `SUNSTAR_TOO_MANY_GROUPS`
   */
  idOf(name: string): number {
    for (let id = DEFAULT_GROUP_ID + 1; id < MAX_GROUPS; id++) {
      const at = id * ENTRY_WORDS;
      if (Atomics.compareExchange(this.#words, at, FREE, BEING_WRITTEN) === FREE) {
        this.#write(at, name);
        Atomics.store(this.#words, at, TAKEN);
        return id;
      }
      this.#awaitTaken(at);
      if (this.#read(at) === name) return id;
    }
    throw new SunstarError(
      'SUNSTAR_TOO_MANY_GROUPS',
      `There are ${MAX_GROUPS} scheduling groups already, the default one included. Make them once and keep them.`,
    );
  }

  #awaitTaken(at: number): void {
    const deadlineMs = performance.now() + PATIENCE_MS;
    while (Atomics.load(this.#words, at) !== TAKEN) {
      if (performance.now() < deadlineMs) continue;
      throw new SunstarError(
        'SUNSTAR_SHARD_CRASHED',
        'A shard ended while it made a scheduling group, and left the names half written. Start the runtime anew.',
      );
    }
  }

  /** The name of an id, for people: the id itself when it has none. */
  nameOf(id: number): string {
    if (id === DEFAULT_GROUP_ID) return 'default';
    if (!(id > DEFAULT_GROUP_ID && id < MAX_GROUPS)) return String(id);
    const at = id * ENTRY_WORDS;
    return Atomics.load(this.#words, at) === TAKEN ? this.#read(at) : String(id);
  }

  #write(at: number, name: string): void {
    this.#words[at + 1] = name.length;
    for (let i = 0; i < name.length; i += 2) {
      const second = i + 1 < name.length ? name.charCodeAt(i + 1) : 0;
      this.#words[at + 2 + i / 2] = name.charCodeAt(i) | (second << 16);
    }
  }

  #read(at: number): string {
    let name = '';
    for (let i = 0; i < this.#words[at + 1]; i++) {
      const word = this.#words[at + 2 + (i >> 1)];
      name += String.fromCharCode((i & 1) === 0 ? word & 0xffff : word >>> 16);
    }
    return name;
  }
}
