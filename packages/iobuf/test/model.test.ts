import { describe, expect, test } from 'vitest';
import { runModel } from './model.js';
import { debugMemory, MIB, plainMemory } from './support.js';

describe('every sequence of operations equals a plain byte array', () => {
  test('with freed memory poisoned', () => {
    runModel(debugMemory(), 150);
  });

  test('with freed memory reused at once', () => {
    runModel(plainMemory(), 150);
  });

  test('when memory runs out all the time', () => {
    const memory = plainMemory(MIB);
    memory.allocate(MIB / 2);
    runModel(memory, 200);
    expect(memory.stats().failedAllocations).toBeGreaterThan(0);
  });
});
