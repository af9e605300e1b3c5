import type { ShardMemory } from '@sunstar/runtime';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { type Journal, NEVER, NONE, Store } from '../../src/store/index.js';
import { contentOf, debugMemory, keyOf, Loader, scanAll } from './support.js';

const START_MS = 1_800_000_000_000;

interface ModelValue {
  readonly value: Buffer;
  readonly expireAtMs: number;
}

type Model = Map<string, ModelValue>;

/** A journal that is replayed into a map as it is written. */
class ModelJournal implements Journal {
  readonly replayed: Model = new Map();
  readonly #memory: ShardMemory;
  readonly #store: Store;
  /** Answer of admit. */
  hasRoom = true;
  #admitted = 0;

  constructor(memory: ShardMemory, store: Store) {
    this.#memory = memory;
    this.#store = store;
  }

  admit(recordCount: number, payloadBytes: number): boolean {
    expect(payloadBytes).toBeGreaterThanOrEqual(0);
    this.#admitted = recordCount;
    return this.hasRoom;
  }

  set(entry: number): void {
    this.#record();
    const { entries } = this.#store;
    const value = contentOf(this.#memory, entries, entry);
    this.replayed.set(this.#key(entry), { value, expireAtMs: entries.expireAtMs(entry) });
  }

  expire(entry: number): void {
    this.#record();
    const present = this.replayed.get(this.#key(entry));
    if (present === undefined) throw new Error('expire of a key that was never set');
    const expireAtMs = this.#store.entries.expireAtMs(entry);
    this.replayed.set(this.#key(entry), { value: present.value, expireAtMs });
  }

  delete(keyOffset: number, keyLength: number): void {
    this.#record();
    this.replayed.delete(this.#memory.bytes.toString('latin1', keyOffset, keyOffset + keyLength));
  }

  flush(): void {
    this.#record();
    this.replayed.clear();
  }

  #record(): void {
    if (--this.#admitted < 0) throw new Error('a report that was not admitted');
  }

  #key(entry: number): string {
    return keyOf(this.#memory, this.#store.entries, entry).toString('latin1');
  }
}

interface Real {
  readonly memory: ShardMemory;
  readonly store: Store;
  readonly journal: ModelJournal;
  readonly loader: Loader;
}

class ModelState {
  readonly keys: Model = new Map();
  nowMs: number = START_MS;
  /** Whether a write may fail for want of memory. */
  readonly mayFail: boolean;

  constructor(mayFail: boolean) {
    this.mayFail = mayFail;
  }

  get(key: string): ModelValue | undefined {
    const found = this.keys.get(key);
    if (found !== undefined && found.expireAtMs !== NEVER && found.expireAtMs <= this.nowMs) {
      this.keys.delete(key);
      return undefined;
    }
    return found;
  }
}

type StoreCommand = fc.Command<ModelState, Real>;

/** A command that runs `step` and then checks that the key is as the model says. */
function command(
  text: string,
  keys: readonly string[],
  step: (model: ModelState, real: Real) => void,
): StoreCommand {
  return {
    check: () => true,
    toString: () => text,
    run: (model, real) => {
      real.loader.reset();
      step(model, real);
      for (const key of keys) checkKey(model, real, key);
      real.store.invariants();
    },
  };
}

function checkKey(model: ModelState, { memory, store, loader }: Real, key: string): void {
  loader.reset();
  const bytes = Buffer.from(key, 'latin1');
  const entry = store.find(loader.put(bytes), bytes.length);
  const expected = model.get(key);
  expect(entry !== NONE).toBe(expected !== undefined);
  if (expected === undefined) return;
  expect(contentOf(memory, store.entries, entry).equals(expected.value)).toBe(true);
  expect(store.entries.expireAtMs(entry)).toBe(expected.expireAtMs);
  expect(keyOf(memory, store.entries, entry).equals(bytes)).toBe(true);
}

/** A write that was refused must have a reason. */
function settle(model: ModelState, done: boolean, apply: () => void): void {
  if (done) apply();
  else expect(model.mayFail).toBe(true);
}

const key = fc.oneof(
  { weight: 10, arbitrary: fc.constantFrom('a', 'b', 'c', 'key:1', '', '\x00\xff') },
  { weight: 1, arbitrary: fc.constantFrom('L'.repeat(1000), 'M'.repeat(60_000)) },
);
const length = fc.oneof(
  { weight: 6, arbitrary: fc.nat(80) },
  { weight: 2, arbitrary: fc.integer({ min: 1000, max: 9000 }) },
  { weight: 2, arbitrary: fc.integer({ min: 60_000, max: 70_000 }) },
  { weight: 2, arbitrary: fc.integer({ min: 100_000, max: 420_000 }) },
  { weight: 1, arbitrary: fc.constantFrom(131_072, 262_144, 131_073, 65_504) },
);
/** A value with content that shows when parts of it are in a wrong place. */
const value = fc.tuple(length, fc.nat(250)).map(([size, seed]) => {
  const bytes = Buffer.alloc(size);
  for (let index = 0; index < size; index++) bytes[index] = (index * 7 + seed + (index >>> 8)) & 0xff;
  return bytes;
});
const delayMs = fc.oneof(fc.constant(NEVER), fc.integer({ min: 1, max: 5000 }), fc.constant(10_000_000));

function expiryOf(model: ModelState, delay: number): number {
  return delay === NEVER ? NEVER : model.nowMs + delay;
}

const setCommand = fc.tuple(key, value, delayMs).map(([name, bytes, delay]) =>
  command(`set(${name.slice(0, 9)}, ${bytes.length} bytes, ${delay})`, [name], (model, { store, loader }) => {
    const expireAtMs = expiryOf(model, delay);
    const keyBytes = Buffer.from(name, 'latin1');
    const done = store.set(
      loader.put(keyBytes),
      keyBytes.length,
      loader.put(bytes),
      bytes.length,
      expireAtMs,
    );
    settle(model, done, () => model.keys.set(name, { value: bytes, expireAtMs }));
  }),
);

const setManyCommand = fc.array(fc.tuple(key, value), { minLength: 1, maxLength: 4 }).map((pairs) =>
  command(
    `prepare and commit ${pairs.length}`,
    pairs.map(([name]) => name),
    (model, { store, loader, journal }) => {
      const prepared: number[] = [];
      for (const [name, bytes] of pairs) {
        loader.reset();
        const keyBytes = Buffer.from(name, 'latin1');
        const entry = store.prepare(loader.put(keyBytes), keyBytes.length, bytes.length, NEVER);
        if (entry === NONE) break;
        const half = bytes.length >>> 1;
        const offset = loader.put(bytes);
        store.write(entry, half, offset + half, bytes.length - half);
        store.write(entry, 0, offset, half);
        prepared.push(entry);
      }
      const done = prepared.length === pairs.length && journal.admit(pairs.length, 0);
      if (done) for (const entry of prepared) store.commit(entry);
      else for (const entry of prepared) store.discard(entry);
      settle(model, done, () => {
        for (const [name, bytes] of pairs) model.keys.set(name, { value: bytes, expireAtMs: NEVER });
      });
    },
  ),
);

const overwriteCommand = fc.tuple(key, fc.nat(300_000), value).map(([name, position, part]) =>
  command(
    `write(${name.slice(0, 9)}, at ${position}, ${part.length} bytes)`,
    [name],
    (model, { store, loader }) => {
      const keyBytes = Buffer.from(name, 'latin1');
      const keyOffset = loader.put(keyBytes);
      const old = model.get(name);
      const oldLength = old?.value.length ?? 0;
      // Near the present end most of the time, as an append is.
      const at = position % 3 === 0 ? position : oldLength;
      const newLength = Math.max(oldLength, at + part.length);
      const entry = store.find(keyOffset, keyBytes.length);
      const written =
        entry === NONE ? store.setZeros(keyOffset, keyBytes.length, newLength) : store.grow(entry, newLength);
      if (written !== NONE) {
        store.write(written, at, loader.put(part), part.length);
        store.changed(written);
      }
      settle(model, written !== NONE, () => {
        const bytes = Buffer.alloc(newLength);
        old?.value.copy(bytes);
        part.copy(bytes, at);
        model.keys.set(name, { value: bytes, expireAtMs: old?.expireAtMs ?? NEVER });
      });
    },
  ),
);

const deleteCommand = key.map((name) =>
  command(`delete(${name.slice(0, 9)})`, [name], (model, { store, loader }) => {
    const keyBytes = Buffer.from(name, 'latin1');
    const entry = store.find(loader.put(keyBytes), keyBytes.length);
    if (entry !== NONE) settle(model, store.delete(entry), () => model.keys.delete(name));
  }),
);

const expireCommand = fc.tuple(key, delayMs).map(([name, delay]) =>
  command(`expire(${name.slice(0, 9)}, ${delay})`, [name], (model, { store, loader }) => {
    const keyBytes = Buffer.from(name, 'latin1');
    const entry = store.find(loader.put(keyBytes), keyBytes.length);
    const present = model.get(name);
    if (entry === NONE || present === undefined) return;
    const expireAtMs = expiryOf(model, delay);
    settle(model, store.expireAt(entry, expireAtMs), () => {
      model.keys.set(name, { value: present.value, expireAtMs });
    });
  }),
);

const renameCommand = fc.tuple(key, key).map(([from, to]) =>
  command(`rename(${from.slice(0, 9)}, ${to.slice(0, 9)})`, [from, to], (model, { store, loader }) => {
    const fromBytes = Buffer.from(from, 'latin1');
    const toBytes = Buffer.from(to, 'latin1');
    const entry = store.find(loader.put(fromBytes), fromBytes.length);
    const present = model.get(from);
    if (entry === NONE || present === undefined || from === to) return;
    settle(model, store.rename(entry, loader.put(toBytes), toBytes.length), () => {
      model.keys.set(to, present);
      model.keys.delete(from);
    });
  }),
);

const clockCommand = fc.oneof(fc.nat(100), fc.nat(20_000)).map((byMs) =>
  command(`${byMs} ms later`, [], (model, { store }) => {
    model.nowMs += byMs;
    store.nowMs = model.nowMs;
  }),
);

const maintainCommand = fc.oneof(fc.constant(1), fc.constant(100_000)).map((budget) =>
  command(`maintain(${budget})`, [], (model, { store }) => {
    const more = store.maintain(budget);
    if (more || budget === 1) return;
    for (const entry of scanAll(store)) {
      const expireAtMs = store.entries.expireAtMs(entry);
      expect(expireAtMs === NEVER || expireAtMs > model.nowMs - 128).toBe(true);
    }
  }),
);

const clearCommand = fc.boolean().map((now) =>
  command(`clear(${now})`, ['a'], (model, { store }) => {
    settle(model, store.clear(now), () => {
      model.keys.clear();
      expect(store.size).toBe(0);
    });
  }),
);

const scanCommand = fc.constant(
  command('scan', [], (model, { memory, store }) => {
    const found = scanAll(store)
      .filter((entry) => !store.isExpired(entry))
      .map((entry) => keyOf(memory, store.entries, entry).toString('latin1'));
    for (const name of [...model.keys.keys()]) model.get(name);
    expect(found.sort()).toEqual([...model.keys.keys()].sort());
    const entry = store.randomEntry();
    expect(entry === NONE).toBe(model.keys.size === 0);
    if (entry !== NONE) expect(found).toContain(keyOf(memory, store.entries, entry).toString('latin1'));
  }),
);

const journalCommand = fc.boolean().map((hasRoom) =>
  command(`the journal ${hasRoom ? 'has room' : 'is full'}`, [], (model, { journal }) => {
    if (model.mayFail) journal.hasRoom = hasRoom;
  }),
);

const commands = [
  setCommand,
  setCommand,
  setManyCommand,
  overwriteCommand,
  overwriteCommand,
  deleteCommand,
  expireCommand,
  renameCommand,
  clockCommand,
  maintainCommand,
  clearCommand,
  scanCommand,
];

function check(
  numRuns: number,
  arenaBytes: number,
  maxBytes: number,
  arbitraries: fc.Arbitrary<StoreCommand>[],
  mayFail: boolean,
): void {
  fc.assert(
    fc.property(fc.commands(arbitraries, { maxCommands: 60, size: 'max' }), (list) => {
      const memory = debugMemory(arenaBytes);
      const loader = new Loader(memory, 640 * 1024);
      const store = new Store(memory, { maxBytes });
      store.nowMs = START_MS;
      const journal = new ModelJournal(memory, store);
      store.journal = journal;
      const startBytes = store.usedBytes;
      const model = new ModelState(mayFail);
      fc.modelRun(() => ({ model, real: { memory, store, journal, loader } }), list);

      const live = new Map([...model.keys].filter(([name]) => model.get(name) !== undefined));
      const replayed = new Map(
        [...journal.replayed].filter(
          ([, { expireAtMs }]) => expireAtMs === NEVER || expireAtMs > model.nowMs,
        ),
      );
      expect([...replayed.keys()].sort()).toEqual([...live.keys()].sort());
      for (const [name, { value: bytes, expireAtMs }] of live) {
        expect(replayed.get(name)?.expireAtMs).toBe(expireAtMs);
        expect(replayed.get(name)?.value.equals(bytes)).toBe(true);
      }

      journal.hasRoom = true;
      store.clear(true);
      expect(store.usedBytes).toBe(startBytes);
      expect(store.payloadBytes).toBe(0);
      store.dispose();
      loader.free();
      expect(store.usedBytes).toBe(0);
      expect(memory.leaks()).toEqual([]);
    }),
    { numRuns },
  );
}

test('behaves as a map, with expiry', () => {
  check(20, 64 * 1024 * 1024, Number.POSITIVE_INFINITY, commands, false);
});

test('what does not fit into its limit changes nothing', () => {
  check(20, 16 * 1024 * 1024, 400 * 1024, [...commands, journalCommand], true);
});

test('what does not fit into the arena changes nothing', () => {
  check(20, 1536 * 1024, Number.POSITIVE_INFINITY, [...commands, journalCommand], true);
});
