import { OutOfMemoryError, type ShardMemory } from '@sunstar/runtime';
import fc from 'fast-check';
import { expect } from 'vitest';
import { IOBuf } from '../src/index.js';
import { expectCode, MIB, pattern } from './support.js';

/** A buffer and the plain bytes that it must equal. */
interface Pair {
  readonly buffer: IOBuf;
  bytes: Buffer;
}

/** What the commands work on: some live buffers in one memory. The model of the state is the state's bytes. */
interface World {
  readonly memory: ShardMemory;
  readonly pairs: Pair[];
  readonly lent: Map<number, number>;
  /** Counts the arrays that were wrapped. */
  wrapped: number;
  /** Looking at a buffer changes what it remembers about positions, so not every step is followed by a look. */
  readonly verifyEvery: number;
  steps: number;
}

const LIVE_MAX = 8;
const COMMANDS_MAX = 40;
type Command = fc.Command<object, World>;

/** Runs one operation; on out-of-memory the content must be what it was, which the check after it shows. */
function attempt(operation: () => void, then: () => void): void {
  try {
    operation();
  } catch (error) {
    if (error instanceof OutOfMemoryError) return;
    throw error;
  }
  then();
}

function verify(world: World): void {
  for (const { buffer, bytes } of world.pairs) {
    buffer.invariants();
    expect(buffer.sizeBytes).toBe(bytes.length);
    let sum = 0;
    for (let i = 0; i < buffer.fragmentCount; i++) sum += buffer.fragmentLength(i);
    expect(sum).toBe(bytes.length);
    if (!buffer.toBuffer().equals(bytes)) throw new Error('the content differs from the model');
  }
}

class Step implements Command {
  readonly #name: string;
  readonly #index: number;
  readonly #run: (world: World, pair: Pair) => void;

  constructor(name: string, index: number, run: (world: World, pair: Pair) => void) {
    this.#name = name;
    this.#index = index;
    this.#run = run;
  }

  check(): boolean {
    return true;
  }

  run(_model: object, world: World): void {
    if (world.pairs.length === 0)
      world.pairs.push({ buffer: new IOBuf(world.memory), bytes: Buffer.alloc(0) });
    this.#run(world, world.pairs[this.#index % world.pairs.length]);
    if (++world.steps % world.verifyEvery === 0) verify(world);
  }

  toString(): string {
    return this.#name;
  }
}

function add(world: World, make: () => IOBuf, bytes: Buffer): void {
  if (world.pairs.length >= LIVE_MAX) return;
  let buffer: IOBuf | undefined;
  attempt(
    () => {
      buffer = make();
    },
    () => {
      if (buffer !== undefined) world.pairs.push({ buffer, bytes });
    },
  );
}

const index = fc.nat(63);
const size = fc.oneof(
  fc.nat(20),
  fc.nat(3000),
  fc.constantFrom(511, 512, 513, 768, 16384, 131072, 131073, 200000),
);
// Not fc.double: it spreads over the exponents, so that nearly all are next to 0.
const ratio = fc.nat(1000).map((thousandths) => thousandths / 1000);
const text = fc.oneof(
  fc.string({ unit: 'grapheme', maxLength: 40 }),
  fc.string({ unit: 'binary', maxLength: 400 }),
  fc
    .tuple(fc.constantFrom('a', 'é', '語', '😀', '\ud800', 'ab😀'), fc.nat(1500))
    .map(([s, n]) => s.repeat(n)),
);

/** Puts `data` into the arena, calls `use` with the place, and gives the memory back. */
function withArena(world: World, data: Uint8Array, use: (offset: number) => void): void {
  const offset = world.memory.tryAllocate(Math.max(1, data.length));
  if (offset < 0) return;
  try {
    world.memory.bytes.set(data, offset);
    use(offset);
  } finally {
    world.memory.free(offset);
  }
}

const commands: fc.Arbitrary<Command>[] = [
  fc.tuple(index, size, fc.nat()).map(
    ([at, length, seed]) =>
      new Step(`#${at}.append(${length} bytes)`, at, (_world, pair) => {
        const data = pattern(length, seed);
        attempt(
          () => pair.buffer.append(data),
          () => {
            pair.bytes = Buffer.concat([pair.bytes, data]);
          },
        );
      }),
  ),
  fc.tuple(index, text).map(
    ([at, string]) =>
      new Step(
        `#${at}.append(${JSON.stringify(string.slice(0, 20))}…${string.length})`,
        at,
        (_world, pair) => {
          attempt(
            () => pair.buffer.append(string),
            () => {
              pair.bytes = Buffer.concat([pair.bytes, Buffer.from(string)]);
            },
          );
        },
      ),
  ),
  fc.tuple(index, size, fc.nat()).map(
    ([at, length, seed]) =>
      new Step(`#${at}.appendRange(${length})`, at, (world, pair) => {
        const data = pattern(length, seed);
        withArena(world, data, (offset) =>
          attempt(
            () => pair.buffer.appendRange(offset, length),
            () => {
              pair.bytes = Buffer.concat([pair.bytes, data]);
            },
          ),
        );
      }),
  ),
  fc.tuple(index, index, fc.constantFrom('appendIOBuf', 'link', 'prepend', 'take')).map(
    ([at, from, how]) =>
      new Step(`#${at}.${how}(#${from})`, at, (world, pair) => {
        const other = world.pairs[from % world.pairs.length];
        if (pair.bytes.length + other.bytes.length > 2 * MIB) return;
        const [own, others] = [pair.bytes, other.bytes];
        attempt(
          () => pair.buffer[how](other.buffer),
          () => {
            if (how === 'take' && other === pair) return;
            if (how === 'take') other.bytes = Buffer.alloc(0);
            pair.bytes = Buffer.concat(how === 'prepend' ? [others, own] : [own, others]);
          },
        );
      }),
  ),
  fc.tuple(index, size, fc.nat()).map(
    ([at, length, seed]) =>
      new Step(`#${at}.prepend(${length} bytes)`, at, (_world, pair) => {
        const data = pattern(length, seed);
        attempt(
          () => pair.buffer.prepend(data),
          () => {
            pair.bytes = Buffer.concat([data, pair.bytes]);
          },
        );
      }),
  ),
  fc.tuple(index, fc.nat(5000), ratio, ratio, fc.boolean(), fc.nat()).map(
    ([at, capacity, from, part, lend, seed]) =>
      new Step(`#${at}.adopt(${capacity}, ${lend ? 'lent' : 'owned'})`, at, (world, pair) => {
        const offset = world.memory.tryAllocate(capacity + 1);
        if (offset < 0) return;
        const data = pattern(capacity, seed);
        world.memory.bytes.set(data, offset);
        const start = Math.floor(from * capacity);
        const length = Math.floor(part * (capacity - start));
        if (lend) {
          world.lent.set(offset, capacity);
          const release = (returned: number): void => {
            expect(world.lent.delete(returned)).toBe(true);
            // Behind the content the lender's bytes are as they were.
            const after = world.memory.bytes.subarray(returned + start + length, returned + capacity);
            expect(after.equals(data.subarray(start + length))).toBe(true);
            world.memory.free(returned);
          };
          pair.buffer.adopt(offset, capacity, start, length, { release });
        } else {
          pair.buffer.adopt(offset, capacity, start, length);
        }
        pair.bytes = Buffer.concat([pair.bytes, data.subarray(start, start + length)]);
      }),
  ),
  fc.tuple(index, fc.integer({ min: 1, max: 131072 }), ratio, fc.nat()).map(
    ([at, length, part, seed]) =>
      new Step(`#${at}.reserve(${length})+commit`, at, (world, pair) => {
        let offset = -1;
        attempt(
          () => {
            offset = pair.buffer.reserve(length);
          },
          () => {
            const data = pattern(Math.floor(part * length), seed);
            world.memory.bytes.set(data, offset);
            pair.buffer.commit(data.length);
            pair.bytes = Buffer.concat([pair.bytes, data]);
          },
        );
      }),
  ),
  fc.tuple(index, fc.integer({ min: 1, max: 5000 })).map(
    ([at, length]) =>
      new Step(`#${at}.reserve(${length})`, at, (_world, pair) => {
        attempt(
          () => pair.buffer.reserve(length),
          () => undefined,
        );
      }),
  ),
  fc.tuple(index, fc.nat(0xffff_ffff)).map(
    ([at, value]) =>
      new Step(`#${at}.appendU32BE(${value})`, at, (_world, pair) => {
        attempt(
          () => pair.buffer.appendU32BE(value),
          () => {
            const word = Buffer.alloc(4);
            word.writeUInt32BE(value);
            pair.bytes = Buffer.concat([pair.bytes, word]);
          },
        );
      }),
  ),
  fc.tuple(index, ratio, ratio).map(
    ([at, from, part]) =>
      new Step(`#${at}.share(${from}, ${part})`, at, (world, pair) => {
        const position = Math.floor(from * pair.bytes.length);
        const length = Math.floor(part * (pair.bytes.length - position));
        add(
          world,
          () => pair.buffer.share(position, length),
          pair.bytes.subarray(position, position + length),
        );
      }),
  ),
  fc
    .tuple(
      index,
      ratio,
      fc.oneof(fc.nat(30), fc.nat(3000)),
      fc.nat(),
      fc.constantFrom('bytes', 'buffer', 'self'),
    )
    .map(
      ([at, from, length, seed, what]) =>
        new Step(`#${at}.insert(${from}, ${what} ${length})`, at, (world, pair) => {
          const position = Math.floor(from * pair.bytes.length);
          if (what === 'self' && pair.bytes.length > MIB) return;
          const data = what === 'self' ? pair.bytes : pattern(length, seed);
          const insert = (): void => {
            if (what === 'bytes') pair.buffer.insert(position, data);
            else if (what === 'self') pair.buffer.insert(position, pair.buffer);
            else {
              using other = IOBuf.from(data, world.memory);
              pair.buffer.insert(position, other);
            }
          };
          attempt(insert, () => {
            pair.bytes = Buffer.concat([
              pair.bytes.subarray(0, position),
              data,
              pair.bytes.subarray(position),
            ]);
          });
        }),
    ),
  fc.tuple(index, ratio, ratio, fc.option(fc.nat(2000)), fc.nat()).map(
    ([at, from, part, length, seed]) =>
      new Step(`#${at}.splice(${from}, ${part}, ${length})`, at, (world, pair) => {
        const position = Math.floor(from * pair.bytes.length);
        const deleted = Math.floor(part * (pair.bytes.length - position));
        const data = length === null ? undefined : pattern(length, seed);
        const old = pair.bytes;
        const removed = old.subarray(position, position + deleted);
        const edit = (): void => {
          const gone = pair.buffer.splice(position, deleted, data);
          pair.bytes = Buffer.concat(
            [old.subarray(0, position), data ?? '', old.subarray(position + deleted)].map((b) =>
              Buffer.from(b),
            ),
          );
          if (world.pairs.length < LIVE_MAX) world.pairs.push({ buffer: gone, bytes: removed });
          else {
            expect(gone.equals(removed)).toBe(true);
            gone[Symbol.dispose]();
          }
        };
        attempt(edit, () => undefined);
      }),
  ),
  fc.tuple(index, index, ratio, ratio, fc.constantFrom('slice', 'takeFront', 'splitAt', 'copy')).map(
    ([at, into, from, to, how]) =>
      new Step(`#${at}.${how}(${from}, ${to}, into #${into})`, at, (world, pair) => {
        const target = world.pairs[into % world.pairs.length];
        const { bytes } = pair;
        const start = Math.floor(from * bytes.length);
        const end = start + Math.floor(to * (bytes.length - start));
        if (target === pair) {
          expectCode(() => pair.buffer.slice(0, 0, target.buffer), 'SUNSTAR_INVALID_ARGUMENT');
          return;
        }
        if (how === 'slice') {
          pair.buffer.slice(start, end, target.buffer);
          target.bytes = bytes.subarray(start, end);
        } else if (how === 'takeFront') {
          pair.buffer.takeFront(start, target.buffer);
          target.bytes = bytes.subarray(0, start);
          pair.bytes = bytes.subarray(start);
        } else if (how === 'splitAt') {
          pair.buffer.splitAt(start, target.buffer);
          target.bytes = bytes.subarray(start);
          pair.bytes = bytes.subarray(0, start);
        } else {
          target.bytes = Buffer.alloc(0);
          attempt(
            () => pair.buffer.copy(target.buffer),
            () => {
              target.bytes = bytes;
            },
          );
        }
      }),
  ),
  fc.tuple(index, fc.nat(255)).map(
    ([at, byte]) =>
      new Step(`#${at}.takeUntil(${byte})`, at, (_world, pair) => {
        const found = pair.bytes.indexOf(byte);
        using front = pair.buffer.takeUntil(byte) ?? undefined;
        expect(front === undefined).toBe(found < 0);
        if (front === undefined) return;
        expect(front.equals(pair.bytes.subarray(0, found))).toBe(true);
        pair.bytes = pair.bytes.subarray(found + 1);
      }),
  ),
  fc.tuple(index, fc.nat(255), fc.integer({ min: 1, max: 5 })).map(
    ([at, byte, maxPieces]) =>
      new Step(`#${at}.split(${byte}, ${maxPieces})`, at, (_world, pair) => {
        const pieces = pair.buffer.split(byte, maxPieces);
        expect(pieces.length).toBeLessThanOrEqual(maxPieces);
        const joined = pieces.flatMap((piece, i) =>
          i === 0 ? [piece.toBuffer()] : [Buffer.of(byte), piece.toBuffer()],
        );
        expect(Buffer.concat(joined).equals(pair.bytes)).toBe(true);
        for (const piece of pieces.slice(0, -1)) expect(piece.indexOf(byte)).toBe(-1);
        if (pieces.length < maxPieces) expect(pieces[pieces.length - 1].indexOf(byte)).toBe(-1);
        for (const piece of pieces) piece[Symbol.dispose]();
      }),
  ),
  fc.tuple(index, fc.oneof(fc.nat(20), fc.nat(5000)), fc.nat()).map(
    ([at, length, seed]) =>
      new Step(`#${at}.wrap(${length})`, at, (world, pair) => {
        const data = pattern(length, seed);
        const id = -1 - world.wrapped++;
        world.lent.set(id, length);
        pair.buffer.wrap(data, (returned) => {
          expect(returned).toBe(data);
          expect(world.lent.delete(id)).toBe(true);
          // Who reads it afterwards is seen.
          data.fill(0xee);
        });
        pair.bytes = Buffer.concat([pair.bytes, data]);
      }),
  ),
  index.map(
    (at) =>
      new Step(`#${at}.localize()`, at, (_world, pair) => {
        attempt(
          () => pair.buffer.localize(),
          () => expect(pair.buffer.isLocal).toBe(true),
        );
      }),
  ),
  index.map(
    (at) =>
      new Step(`#${at}.move()`, at, (world, pair) => {
        const buffer = pair.buffer.move();
        expectCode(() => pair.buffer.sizeBytes, 'SUNSTAR_IOBUF_MOVED');
        pair.buffer[Symbol.dispose]();
        world.pairs[world.pairs.indexOf(pair)] = { buffer, bytes: pair.bytes };
      }),
  ),
  fc
    .tuple(
      index,
      fc.integer({ min: 64, max: 3000 }),
      fc.array(fc.oneof(fc.nat(0xffff), fc.string({ maxLength: 50 })), { maxLength: 30 }),
    )
    .map(
      ([at, chunkBytes, fields]) =>
        new Step(`#${at}.writer(${chunkBytes}) of ${fields.length}`, at, (_world, pair) => {
          const writer = pair.buffer.writer(chunkBytes);
          const written: Buffer[] = [];
          const write = (): void => {
            for (const field of fields) {
              if (typeof field === 'number') {
                const word = Buffer.alloc(2);
                word.writeUInt16LE(field);
                writer.appendU16LE(field);
                written.push(word);
              } else {
                writer.append(field);
                written.push(Buffer.from(field));
              }
            }
          };
          attempt(write, () => undefined);
          // What was written before memory ran out is whole.
          writer.flush();
          pair.bytes = Buffer.concat([pair.bytes, ...written]);
        }),
    ),
  index.map(
    (at) => new Step(`#${at}.copy()`, at, (world, pair) => add(world, () => pair.buffer.copy(), pair.bytes)),
  ),
  fc.tuple(index, ratio, fc.boolean()).map(
    ([at, part, front]) =>
      new Step(`#${at}.trim${front ? 'Front' : 'Back'}(${part})`, at, (_world, pair) => {
        const count = Math.floor(part * (pair.bytes.length + 0.999));
        if (front) pair.buffer.trimFront(count);
        else pair.buffer.trimBack(count);
        pair.bytes = front ? pair.bytes.subarray(count) : pair.bytes.subarray(0, pair.bytes.length - count);
      }),
  ),
  index.map(
    (at) =>
      new Step(`#${at}.clear()`, at, (_world, pair) => {
        pair.buffer.clear();
        pair.bytes = Buffer.alloc(0);
      }),
  ),
  index.map(
    (at) =>
      new Step(`#${at}.dispose()`, at, (world, pair) => {
        world.pairs.splice(world.pairs.indexOf(pair), 1);
        pair.buffer[Symbol.dispose]();
        pair.buffer[Symbol.dispose]();
        expectCode(() => pair.buffer.append('x'), 'SUNSTAR_IOBUF_DISPOSED');
      }),
  ),
  fc.constant(new Step('new', 0, (world) => add(world, () => new IOBuf(world.memory), Buffer.alloc(0)))),
  fc.tuple(index, index).map(
    ([a, b]) =>
      new Step(`#${a} against #${b}`, a, (world, pair) => {
        const other = world.pairs[b % world.pairs.length];
        const order = Buffer.compare(pair.bytes, other.bytes);
        expect(pair.buffer.compare(other.buffer)).toBe(order);
        expect(pair.buffer.compare(other.bytes)).toBe(order);
        expect(pair.buffer.equals(other.buffer)).toBe(order === 0);
        if (order === 0) expect(pair.buffer.hash()).toBe(other.buffer.hash());
      }),
  ),
  fc.tuple(index, ratio, ratio, fc.nat(255)).map(
    ([at, from, length, byte]) =>
      new Step(`#${at}.indexOf(…)`, at, (_world, pair) => {
        const start = Math.floor(from * pair.bytes.length);
        expect(pair.buffer.indexOf(byte, start)).toBe(pair.bytes.indexOf(byte, start));
        const needle = pair.bytes.subarray(start, start + Math.floor(length * 40));
        const expected = needle.length === 0 ? 0 : pair.bytes.indexOf(needle);
        expect(pair.buffer.indexOf(needle)).toBe(expected);
        if (start < pair.bytes.length) expect(pair.buffer.byteAt(start)).toBe(pair.bytes[start]);
        expect(pair.buffer.toString('latin1', start)).toBe(pair.bytes.toString('latin1', start));
        expect(pair.buffer.toString('utf8', start)).toBe(pair.bytes.toString('utf8', start));
      }),
  ),
];

/**
 * Runs random sequences of operations on buffers in `memory`, compares every buffer with plain bytes all the
 * way, and expects all memory back at the end of each sequence.
 */
export function runModel(memory: ShardMemory, numRuns: number): void {
  const atStart = memory.stats();
  fc.assert(
    fc.property(
      fc.commands(commands, { maxCommands: COMMANDS_MAX, size: 'max' }),
      fc.infiniteStream(fc.nat()),
      fc.integer({ min: 1, max: 4 }),
      (steps, order, verifyEvery) => {
        const world: World = { memory, pairs: [], lent: new Map(), wrapped: 0, verifyEvery, steps: 0 };
        try {
          fc.modelRun(() => ({ model: {}, real: world }), steps);
          verify(world);
        } finally {
          // In any order: the memory comes back, all of it.
          while (world.pairs.length > 0) {
            const [pair] = world.pairs.splice((order.next().value ?? 0) % world.pairs.length, 1);
            pair.buffer[Symbol.dispose]();
          }
        }
        expect(world.lent.size).toBe(0);
        expect(memory.stats().usedBytes).toBe(atStart.usedBytes);
        expect(memory.stats().liveBlocks).toBe(atStart.liveBlocks);
      },
    ),
    { numRuns },
  );
  memory.invariants();
}
