import { createArena, OutOfMemoryError, ShardMemory } from '@sunstar/runtime';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { InputBuffer } from '../../src/server/input-buffer.ts';

describe('InputBuffer', () => {
  it('holds what was appended and not consumed, and no memory when it is empty', () => {
    const memory = new ShardMemory(createArena(16 * 1024 * 1024));
    const source = memory.allocate(8192);
    for (let at = 0; at < 8192; at++) memory.bytes[source + at] = at * 31;
    const before = memory.stats().usedBytes;
    const step = fc.record({ append: fc.nat(5000), consume: fc.float({ min: 0, max: 1, noNaN: true }) });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
        const input = new InputBuffer(memory);
        let model = Buffer.alloc(0);
        for (const { append, consume } of steps) {
          if (append > 0) input.append(source, append);
          model = Buffer.concat([model, memory.bytes.subarray(source, source + append)]);
          const count = Math.floor(consume * model.length);
          input.consumeTo(input.start + count);
          model = model.subarray(count);
          expect(input.lengthBytes).toBe(model.length);
          expect(memory.bytes.subarray(input.start, input.end).equals(model)).toBe(true);
          if (model.length === 0) expect(memory.stats().usedBytes).toBe(before);
        }
        input.dispose();
        expect(memory.stats().usedBytes).toBe(before);
      }),
      { numRuns: 100 },
    );
  });

  it('keeps what it has when there is no memory for more', () => {
    const memory = new ShardMemory(createArena(4 * 1024 * 1024));
    const source = memory.allocate(64 * 1024);
    const input = new InputBuffer(memory);
    let length = 0;
    expect(() => {
      for (;;) {
        input.append(source, 64 * 1024);
        length += 64 * 1024;
      }
    }).toThrow(OutOfMemoryError);
    expect(input.lengthBytes).toBe(length);
    input.dispose();
  });
});
