import fc from 'fast-check';
import { expect, it } from 'vitest';
import { heapArena } from '../../src/memory/arena.js';
import { type RegistrationRing, Registrations } from '../../src/reactor/registrations.js';

const ENOMEM = 12;
const EMFILE = 24;
const EBUSY = 16;
const GIB = 2 ** 30;

/** A ring that keeps what is registered, and refuses what the test says. */
class ManualRegistrations implements RegistrationRing {
  pieces: number[] = [];
  table: Int32Array | null = null;
  failure = 0;

  registerBuffers(pieces: Float64Array): number {
    if (this.failure === 0) this.pieces = [...pieces];
    return this.failure;
  }

  registerFiles(descriptors: Int32Array): number {
    if (this.failure === 0) this.table = descriptors.slice();
    return this.failure;
  }

  updateRegisteredFile(slot: number, descriptor: number): number {
    if (this.failure !== 0 && descriptor >= 0) return this.failure;
    if (this.table === null || slot >= this.table.length) throw new Error('no such place');
    // Nobody else's place is taken, and none is freed twice.
    expect(this.table[slot] === -1).toBe(descriptor !== -1);
    this.table[slot] = descriptor;
    return 0;
  }
}

it('registers memory once, in pieces of at most 1 GiB, again after it was refused', () => {
  const ring = new ManualRegistrations();
  const registrations = new Registrations(ring);
  const arena = { ...heapArena(1 << 20), address: 4096, sizeBytes: 2.5 * GIB };
  ring.failure = -ENOMEM;
  expect(registrations.registerMemory(arena)).toBe(-ENOMEM);
  expect(registrations.memoryBytes).toBe(0);
  ring.failure = 0;
  expect(registrations.registerMemory(arena)).toBe(0);
  expect(ring.pieces).toEqual([4096, GIB, 4096 + GIB, GIB, 4096 + 2 * GIB, GIB / 2]);
  ring.pieces = [];
  expect(registrations.registerMemory(arena)).toBe(0);
  expect(ring.pieces).toEqual([]);
  expect(registrations.memoryBytes).toBe(2.5 * GIB);
  expect(registrations.registerMemory({ ...arena, address: 8192 })).toBe(-EBUSY);
});

it('names the buffer that a piece lies in, and none where it lies in two', () => {
  const registrations = new Registrations(new ManualRegistrations());
  expect(registrations.bufferOf(0, GIB)).toBe(0);
  expect(registrations.bufferOf(GIB - 4096, 4096)).toBe(0);
  expect(registrations.bufferOf(GIB - 4096, 4097)).toBe(-1);
  expect(registrations.bufferOf(GIB, 1)).toBe(1);
  expect(registrations.bufferOf(2 * GIB + 5, 100)).toBe(2);
});

it('gives every descriptor a place of its own, whatever is refused in between', () => {
  const step = fc.record({
    isNew: fc.boolean(),
    failure: fc.constantFrom(0, 0, 0, -ENOMEM),
    which: fc.nat(2000),
  });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 200 }), (steps) => {
      const ring = new ManualRegistrations();
      const registrations = new Registrations(ring);
      const open = new Map<number, number>();
      steps.forEach(({ isNew, failure, which }, fd) => {
        ring.failure = failure;
        if (isNew) {
          const slot = registrations.registerFile(fd);
          if (failure < 0) expect(slot).toBe(failure);
          else open.set(fd, slot);
        } else if (open.size > 0) {
          const [gone, slot] = [...open][which % open.size];
          registrations.unregisterFile(slot);
          open.delete(gone);
        }
        registrations.invariants();
        expect(registrations.fileCount).toBe(open.size);
        for (const [descriptor, slot] of open) expect(ring.table?.[slot]).toBe(descriptor);
      });
    }),
  );
});

it('has 1,024 places', () => {
  const registrations = new Registrations(new ManualRegistrations());
  for (let fd = 0; fd < 1024; fd++) expect(registrations.registerFile(fd)).toBeGreaterThanOrEqual(0);
  expect(registrations.registerFile(1024)).toBe(-EMFILE);
  registrations.unregisterFile(7);
  expect(registrations.registerFile(1024)).toBe(7);
  registrations.invariants();
});
