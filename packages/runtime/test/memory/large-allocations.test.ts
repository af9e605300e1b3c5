import { describe, expect, it } from 'vitest';
import { LargeAllocations } from '../../src/memory/large-allocations.ts';

describe('LargeAllocations', () => {
  it('lets the threshold sink again, by half of what it had risen each minute', () => {
    let nowMs = 0;
    let warnings = 0;
    const large = new LargeAllocations(
      1000,
      () => warnings++,
      () => nowMs,
    );
    large.notice(1000, '');
    expect(large.thresholdBytes).toBeCloseTo(1618);
    large.notice(1617, '');
    expect(warnings).toBe(1);
    large.notice(2000, '');
    expect(large.thresholdBytes).toBeCloseTo(1618 * 1.618);
    nowMs += 60_000;
    expect(large.thresholdBytes).toBeCloseTo(1000 + (1618 * 1.618 - 1000) / 2);
    nowMs += 3_600_000;
    expect(large.thresholdBytes).toBeCloseTo(1000);
    large.notice(1001, '');
    expect(warnings).toBe(3);
    expect(large.count).toBe(3);
  });
});
