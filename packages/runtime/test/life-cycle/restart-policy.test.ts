import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { fullReloadOptions, type ReloadOptions, RestartPolicy } from '../../src/life-cycle/restart-policy.js';

describe('the policy of restarts', () => {
  it('never allows more restarts in a window than it should, and waits longer each time', () => {
    fc.assert(
      fc.property(
        fc.record({
          maxRestarts: fc.integer({ min: 1, max: 6 }),
          windowMs: fc.integer({ min: 1, max: 1000 }),
          backoffMs: fc.integer({ min: 0, max: 50 }),
          maxBackoffMs: fc.integer({ min: 50, max: 500 }),
        }),
        fc.array(fc.nat(400), { maxLength: 40 }),
        (options, gaps) => {
          const policy = new RestartPolicy(options);
          const allowed: number[] = [];
          let nowMs = 0;
          for (const gap of gaps) {
            nowMs += gap;
            const recent = allowed.filter((ms) => ms > nowMs - options.windowMs);
            const delayMs = policy.crashed(nowMs);
            policy.invariants();
            if (recent.length >= options.maxRestarts) expect(delayMs).toBe(undefined);
            else {
              expect(delayMs).toBe(Math.min(options.maxBackoffMs, options.backoffMs * 2 ** recent.length));
              allowed.push(nowMs);
            }
          }
        },
      ),
    );
  });

  it('has defaults, and refuses what makes no sense', () => {
    expect(fullReloadOptions({})).toEqual({
      maxRestarts: 5,
      windowMs: 60_000,
      backoffMs: 100,
      maxBackoffMs: 10_000,
    });
    expect(fullReloadOptions({ backoffMs: 20_000 }).maxBackoffMs).toBe(20_000);
    for (const options of [
      { maxRestarts: 0 },
      { windowMs: 0 },
      { backoffMs: -1 },
      { backoffMs: 100, maxBackoffMs: 99 },
      { maxRestarts: 1.5 },
    ] as ReloadOptions[]) {
      expect(() => fullReloadOptions(options)).toThrow(
        expect.objectContaining({ code: 'SUNSTAR_INVALID_OPTION' }),
      );
    }
  });
});
