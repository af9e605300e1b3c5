import { describe, expect, test } from 'vitest';
import { runModel } from './model.js';
import { debugMemory, MIB, plainMemory } from './support.js';

const RUNS = 10_000;
const TIMEOUT_MS = 30 * 60_000;

describe('every sequence of operations equals a plain byte array, many times', () => {
  test(
    'with freed memory poisoned',
    () => {
      runModel(debugMemory(), RUNS);
    },
    TIMEOUT_MS,
  );

  test(
    'when memory runs out all the time',
    () => {
      const memory = plainMemory(MIB);
      memory.allocate(MIB / 2);
      runModel(memory, RUNS);
      expect(memory.stats().failedAllocations).toBeGreaterThan(0);
    },
    TIMEOUT_MS,
  );

  test(
    'at offsets that do not fit into 31 bits',
    () => {
      const memory = plainMemory(3072 * MIB);
      // Taken, but never touched: this costs address space only.
      memory.allocate(2048 * MIB);
      const offset = memory.allocate(4096);
      expect(offset).toBeGreaterThan(2 ** 31 - 1);
      memory.free(offset);
      runModel(memory, RUNS);
    },
    TIMEOUT_MS,
  );
});
