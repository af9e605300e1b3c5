import { createArena, type MemoryGroup, ShardMemory, SunstarError } from '@sunstar/runtime';
import fc from 'fast-check';
import { describe, it } from 'vitest';

const MIB = 1024 * 1024;

/** Numbers of every kind, and what else a program without types may pass for one. */
const garbage = fc.oneof(
  fc.double(),
  fc.integer({ min: -(2 ** 31), max: 2 ** 31 - 1 }),
  fc.constantFrom<unknown>(undefined, null, true, '64', 'much', {}, [], () => 1, new Uint8Array(3)),
);

const ofGroup = ['allocate', 'tryAllocate', 'allocateAligned', 'free'];
const ofMemory = [
  ...ofGroup,
  'allocatePermanent',
  'usableSize',
  'shrink',
  'reallocate',
  'availability',
  'startHeapProfile',
];

/** Calls a method with anything; only a coded error may come out of it. */
function call(target: ShardMemory | MemoryGroup, name: string, args: readonly unknown[]): void {
  const method = (target as unknown as Record<string, (...args: unknown[]) => unknown>)[name];
  try {
    method.apply(target, [...args]);
  } catch (error) {
    if (error instanceof SunstarError) return;
    throw new Error(`${name}(${args.map(String).join()}) threw ${String(error)}`, { cause: error });
  }
}

describe.each([false, true])('any operation with any garbage, debug %s', (debug) => {
  it('throws coded errors only, and leaves the blocks of others as they are', () => {
    fc.assert(
      fc.property(
        fc.array(fc.tuple(fc.boolean(), fc.nat(), fc.array(garbage, { maxLength: 3 })), {
          minLength: 1,
          maxLength: 8,
        }),
        (calls) => {
          const memory = new ShardMemory(createArena(MIB), { debug, largeAllocationBytes: MIB });
          const group = memory.group('group', { limit: MIB / 2 });
          const mine = memory.allocate(5000);
          memory.bytes.fill(0x5a, mine, mine + 5000);
          for (const [isGroup, index, args] of calls) {
            // A call may hit a live block by its right offset, which is no mistake that can be noticed.
            const safe = args.filter((arg) => arg !== mine);
            if (isGroup) call(group, ofGroup[index % ofGroup.length], safe);
            else call(memory, ofMemory[index % ofMemory.length], safe);
            memory.invariants();
          }
          memory.stopHeapProfile();
          for (let at = mine; at < mine + 5000; at++) {
            if (memory.bytes[at] !== 0x5a) throw new Error(`byte ${at - mine} of a live block has changed`);
          }
          memory.free(mine);
        },
      ),
      { numRuns: debug ? 150 : 300 },
    );
  });
});
