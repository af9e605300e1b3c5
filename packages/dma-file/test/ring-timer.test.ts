import { DmaFile } from '@sunstar/dma-file';
import { describe, expect, it } from 'vitest';
import { scratch } from './support.js';

const { path } = scratch();

describe('a timer of the ring', () => {
  it('fires once for each time it is set, not before its time', async () => {
    await using file = await DmaFile.open(path('timer'), { flags: 'w+' });
    let fire = (): void => {};
    let fired = 0;
    const timer = file.makeTimer({
      complete: () => {
        fired++;
        fire();
      },
    });
    for (let round = 1; round <= 3; round++) {
      const due = new Promise<void>((resolve) => {
        fire = resolve;
      });
      const startMs = performance.now();
      timer.arm(1.5);
      timer.arm(1000);
      await due;
      expect(performance.now() - startMs).toBeGreaterThan(1.4);
      expect(fired).toBe(round);
    }
    await timer.close();
    timer.arm(1);
    await timer.close();
    expect(fired).toBe(3);
  });

  it('does not fire after it was cancelled, and can be set again in the same tick', async () => {
    await using file = await DmaFile.open(path('timer'), { flags: 'w+' });
    let fired = 0;
    let fire = (): void => {};
    const due = new Promise<void>((resolve) => {
      fire = resolve;
    });
    const timer = file.makeTimer({
      complete: () => {
        fired++;
        fire();
      },
    });
    timer.arm(60_000);
    timer.cancel();
    timer.cancel();
    timer.arm(0.2);
    await due;
    timer.arm(60_000);
    // Resolves at once: a timer that is set holds nobody up.
    await timer.close();
    expect(fired).toBe(1);
  });
});
