// The same program on the kernel's ring and on the emulated one has the same outcome: random chains of operations
// on files and sockets, with links, multishot receives, timeouts and cancellations.
import { closeSync, mkdtempSync, openSync, rmSync, unlinkSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { native } from '@sunstar/native';
import { ERRNO } from '@sunstar/runtime';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { IORING_CQE_F, IORING_OP, IORING_RECVSEND, IOSQE } from '../../src/reactor/constants.js';
import { type Entry, RawRing, type Shot } from './raw-ring.js';

const POLLIN = 1;
const NO_SUCH_OPCODE = 200;
const MSG_NOSIGNAL = 0x4000;
/** Enough for all that one program sends. */
const BUFFERS = 256;
const BUFFER_BYTES = 64;
const GROUP = 7;
/** Where things lie in the scratch memory. */
const SOON = 0;
const NEVER = 16;
const DATA = 64;
const SOON_NS = 100_000;
const BUFFER_AT = 4096;
/** What is read is not written: without a link neither ring promises an order. */
const WRITTEN_FROM = 4096;
const RUNS = Number(process.env.SUNSTAR_BOTH_RINGS_RUNS ?? 150);

const LINKS = [0, IOSQE.IO_LINK, IOSQE.IO_HARDLINK];

/** Operations that end by themselves. */
const CERTAIN = [
  'nop',
  'read',
  'readBeyond',
  'write',
  'fsync',
  'badDescriptor',
  'badOpcode',
  'soon',
  'receiveWithin',
  'pollWithin',
] as const;
/** Operations that end when something happens, or at once. */
const WAITING = ['nop', 'send', 'sendBack', 'receive', 'receiveMany', 'poll', 'never'] as const;

interface Step {
  readonly what: (typeof CERTAIN)[number] | (typeof WAITING)[number];
  readonly link: number;
  readonly size: number;
}

type Batch =
  | { readonly kind: 'certain' | 'waiting'; readonly steps: readonly Step[] }
  | { readonly kind: 'cancel'; readonly target: number };

const step = <T extends Step['what']>(whats: readonly T[]): fc.Arbitrary<Step> =>
  fc.record({
    what: fc.constantFrom(...whats),
    link: fc.constantFrom(...LINKS),
    size: fc.integer({ min: 1, max: 200 }),
  });

const programs = fc.array(
  fc.oneof(
    fc.record({
      kind: fc.constant('certain' as const),
      steps: fc.array(step(CERTAIN), { minLength: 1, maxLength: 6 }),
    }),
    fc.record({
      kind: fc.constant('waiting' as const),
      steps: fc.array(step(WAITING), { minLength: 1, maxLength: 6 }),
    }),
    fc.record({
      kind: fc.constant('cancel' as const),
      target: fc.nat({ max: 40 }),
    }),
  ),
  { minLength: 1, maxLength: 12 },
) as fc.Arbitrary<Batch[]>;

/** What a batch has brought: the completions of each operation, by its id. */
type Outcome = readonly (readonly [id: number, shots: readonly Shot[]])[];

/** A link timeout that found its operation over: it says so in several ways, depending on how late it was. */
function neverFired(shot: Shot): Shot {
  return shot[0] === -ERRNO.ENOENT || shot[0] === -ERRNO.EALREADY ? [-ERRNO.ECANCELED, shot[1]] : shot;
}

/** Two connected sockets, a file, provided buffers: what a program works on. */
class World {
  readonly ring: RawRing;
  readonly #near: number;
  readonly #far: number;
  readonly #file: number;
  readonly #buffers: DataView;
  /** The receive that was pushed last, and whether another one is about to be. */
  #receive = 0;
  #isReceiving = false;
  readonly #ids: number[] = [];
  readonly #timeouts = new Set<number>();
  readonly #many = new Set<number>();
  #tail = 0;

  constructor(ring: RawRing, directory: string) {
    this.ring = ring;
    const path = join(directory, 'file');
    this.#file = openSync(path, 'w+');
    unlinkSync(path);
    writeSync(this.#file, Buffer.alloc(WRITTEN_FROM, 1));
    const socketPath = join(directory, 'socket');
    const listener = native.unixListen(socketPath, 8);
    this.#near = native.unixSocket();
    const length = native.encodePath(socketPath, ring.memory.subarray(DATA, DATA + 128));
    const accept = ring.push({ opcode: IORING_OP.ACCEPT, fd: listener });
    ring.until([
      accept,
      ring.push({
        opcode: IORING_OP.CONNECT,
        fd: this.#near,
        address: ring.address + DATA,
        offset: length,
      }),
    ]);
    this.#far = (ring.shots.get(accept) as Shot[])[0][0];
    expect(this.#far).toBeGreaterThan(0);
    closeSync(listener);
    unlinkSync(socketPath);
    const words = new Int32Array(ring.memory.buffer, 0, 8);
    words.set([0, 0, SOON_NS, 0, 3600, 0, 0, 0]);
    const memory = ring.description.ring.registerBufferRing(GROUP, BUFFERS);
    if (typeof memory === 'number') throw new Error(`registerBufferRing: ${memory}`);
    this.#buffers = new DataView(memory);
    this.#provide(BUFFERS);
  }

  run(program: readonly Batch[]): Outcome[] {
    return program.map((batch) => this.#batch(batch));
  }

  close(): void {
    this.ring.cancelAll();
    expect(this.ring.description.ring.unregisterBufferRing(GROUP)).toBe(0);
    for (const fd of [this.#near, this.#far, this.#file]) {
      expect(this.ring.run({ opcode: IORING_OP.CLOSE, fd })).toBe(0);
    }
  }

  #batch(batch: Batch): Outcome {
    const { ring } = this;
    const before = new Map([...ring.shots].map(([id, shots]) => [id, shots.length]));
    if (batch.kind === 'cancel') {
      const known = this.#ids.length;
      if (known === 0) return [];
      const address = this.#ids[batch.target % known];
      ring.until([ring.push({ opcode: IORING_OP.ASYNC_CANCEL, address })]);
      ring.settle();
    } else {
      const steps = batch.steps.filter((one) => this.#isPossible(one));
      const ids = steps.flatMap((one, i) => this.#push(one, i === steps.length - 1 ? 0 : one.link));
      if (batch.kind === 'certain') ring.until(ids);
      else {
        this.#ids.push(...ids);
        ring.settle();
      }
    }
    const outcome = [...ring.shots].map(([id, shots]): Outcome[number] => {
      const all = this.#timeouts.has(id) ? shots.map(neverFired) : shots;
      const added = all.slice(before.get(id) ?? 0);
      return [id, this.#many.has(id) ? this.#joined(added) : added];
    });
    return outcome.filter(([, shots]) => shots.length > 0);
  }

  /** A second receive of the same socket might get the first one's data on either ring. */
  #isPossible({ what }: Step): boolean {
    if (!what.startsWith('receive')) return true;
    if (this.#isReceiving || this.ring.pending.has(this.#receive)) return false;
    this.#isReceiving = true;
    return true;
  }

  #push({ what, size }: Step, link: number): number[] {
    const { ring } = this;
    const { address } = ring;
    const push = (entry: Entry): number[] => [
      ring.push({ ...entry, sqeFlags: (entry.sqeFlags ?? 0) | link }),
    ];
    const note = (ids: number[]): number[] => {
      this.#receive = ids[0];
      this.#isReceiving = false;
      return ids;
    };
    const data = { address: address + DATA, length: size };
    const within = (entry: Entry): number[] => {
      const target = ring.push({ ...entry, sqeFlags: (entry.sqeFlags ?? 0) | IOSQE.IO_LINK });
      const [timeout] = push({ opcode: IORING_OP.LINK_TIMEOUT, address: address + SOON, length: 1 });
      this.#timeouts.add(timeout);
      return [target, timeout];
    };
    switch (what) {
      case 'nop':
        return push({ opcode: IORING_OP.NOP });
      case 'read':
        return push({ opcode: IORING_OP.READ, fd: this.#file, ...data });
      case 'readBeyond':
        return push({ opcode: IORING_OP.READ, fd: this.#file, ...data, offset: 1 << 20 });
      case 'write':
        return push({ opcode: IORING_OP.WRITE, fd: this.#file, ...data, offset: WRITTEN_FROM });
      case 'fsync':
        return push({ opcode: IORING_OP.FSYNC, fd: this.#file });
      case 'badDescriptor':
        return push({ opcode: IORING_OP.FSYNC, fd: 1 << 20 });
      case 'badOpcode':
        return push({ opcode: NO_SUCH_OPCODE });
      case 'soon':
        return push({ opcode: IORING_OP.TIMEOUT, address: address + SOON, length: 1 });
      case 'never':
        return push({ opcode: IORING_OP.TIMEOUT, address: address + NEVER, length: 1 });
      case 'send':
        return push({ opcode: IORING_OP.SEND, fd: this.#near, ...data, opFlags: MSG_NOSIGNAL });
      case 'sendBack':
        return push({ opcode: IORING_OP.SEND, fd: this.#far, ...data, opFlags: MSG_NOSIGNAL });
      case 'poll':
        return push({ opcode: IORING_OP.POLL_ADD, fd: this.#near, opFlags: POLLIN });
      case 'pollWithin':
        return within({ opcode: IORING_OP.POLL_ADD, fd: this.#near, opFlags: POLLIN });
      case 'receive':
        // One byte: how much has arrived when it looks is up to the moment.
        return note(push({ opcode: IORING_OP.RECV, fd: this.#far, ...data, length: 1 }));
      case 'receiveWithin':
        return note(within({ opcode: IORING_OP.RECV, fd: this.#far, ...data }));
      case 'receiveMany':
        this.#many.add(
          note(
            push({
              opcode: IORING_OP.RECV,
              fd: this.#far,
              sqeFlags: IOSQE.BUFFER_SELECT,
              ioprio: IORING_RECVSEND.RECV_MULTISHOT,
              bufferGroup: GROUP,
            }),
          )[0],
        );
        return [this.#receive];
    }
  }

  /** How a stream is cut into shots is up to the moment; what arrives is not. Gives the buffers back. */
  #joined(shots: readonly Shot[]): Shot[] {
    let bytes = 0;
    const ends: Shot[] = [];
    for (const shot of shots) {
      if (shot[0] > 0) {
        expect(shot[1]).toBe(IORING_CQE_F.MORE | IORING_CQE_F.BUFFER);
        bytes += shot[0];
      } else ends.push(shot);
    }
    this.#provide(shots.length - ends.length);
    return [[bytes, 0], ...ends];
  }

  #provide(count: number): void {
    const view = this.#buffers;
    for (let left = count; left > 0; left--) {
      const i = this.#tail & (BUFFERS - 1);
      const address = this.ring.address + BUFFER_AT + i * BUFFER_BYTES;
      view.setUint32(i * 16, address % 2 ** 32, true);
      view.setUint32(i * 16 + 4, Math.floor(address / 2 ** 32), true);
      view.setUint32(i * 16 + 8, BUFFER_BYTES, true);
      view.setUint16(i * 16 + 12, i, true);
      this.#tail++;
    }
    view.setUint16(14, this.#tail & 0xffff, true);
  }
}

describe('the emulated ring', () => {
  let directory: string;
  const rings = [false, true].map((isEmulated) => new RawRing(isEmulated));

  beforeAll(() => {
    directory = mkdtempSync(join(import.meta.dirname, '.rings-'));
  });

  afterAll(() => rmSync(directory, { recursive: true, force: true }));

  it(`does what the kernel's does, in ${RUNS} random programs`, { timeout: 600_000 }, () => {
    fc.assert(
      fc.property(programs, (program) => {
        const outcomes = rings.map((ring) => {
          const world = new World(ring, directory);
          const first = Math.max(...ring.shots.keys());
          ring.shots.clear();
          const outcome = world.run(program).map((batch) =>
            // Counted from the first operation of the program.
            batch.map(([id, shots]) => [id - first, shots] as const),
          );
          world.close();
          return outcome;
        });
        expect(outcomes[1]).toEqual(outcomes[0]);
      }),
      { numRuns: RUNS },
    );
  });
});
