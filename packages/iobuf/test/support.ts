import { createArena, ShardMemory, SunstarError } from '@sunstar/runtime';
import fc from 'fast-check';
import { expect } from 'vitest';

const isSoak = process.env.SUNSTAR_SOAK === '1';

/** How often a property runs: so often, or 10,000 times with `npm run soak`. */
export function runs(usual: number): number {
  return isSoak ? 10_000 : usual;
}

fc.configureGlobal({ numRuns: runs(100) });

export const MIB: number = 1024 * 1024;

/** Memory that poisons what is freed and detects writes to it. */
export function debugMemory(sizeBytes: number = 16 * MIB): ShardMemory {
  return new ShardMemory(createArena(sizeBytes), { debug: true });
}

export function plainMemory(sizeBytes: number = 16 * MIB): ShardMemory {
  return new ShardMemory(createArena(sizeBytes), { debug: false });
}

/** Bytes that differ from their neighbours and from other seeds' bytes. */
export function pattern(length: number, seed = 1): Uint8Array {
  const bytes = new Uint8Array(length);
  let state = (seed * 2654435761) >>> 0;
  for (let i = 0; i < length; i++) {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    bytes[i] = state >>> 24;
  }
  return bytes;
}

/** Expects that `action` throws a SunstarError with this code. */
export function expectCode(action: () => unknown, code: string): void {
  let thrown: unknown;
  try {
    action();
  } catch (error) {
    thrown = error;
  }
  expect(thrown, `expected ${code}`).toBeInstanceOf(SunstarError);
  expect((thrown as SunstarError).code).toBe(code);
}
