import { describe, expect, test, vi } from 'vitest';
import { Child } from '../support/child.ts';
import { mayMakeTaps, networkWithTap } from '../support/confined.ts';

vi.setConfig({ testTimeout: 60_000 });

const BLOCK_BYTES = 12_288;

/** What becomes of a block that is overwritten while its frames wait at the far end of a macvtap device. */
async function overwritten(...options: string[]): Promise<Record<string, unknown>> {
  await using child = new Child('zero-copy-overwritten.mjs', ['/mnt/tap', ...options], networkWithTap);
  const result = JSON.parse(await child.line()) as Record<string, unknown>;
  expect(await child.exited).toBe(0);
  return result;
}

// A program that reads frames from such a device is the one peer on this machine for which nothing is copied: not by the
// processor, as over loopback, and not by a network card, which the rig of the benchmark replaces.
describe.skipIf(!mayMakeTaps)('a peer behind a macvtap device', () => {
  for (const mechanism of ['send_zc', 'msg_zerocopy']) {
    test(`${mechanism}: reads our very memory, which is held until it has acknowledged`, async () => {
      expect(await overwritten(mechanism, 'auto')).toEqual({
        first: 0,
        second: BLOCK_BYTES,
        sends: 1,
        inFlight: 1,
        isReleased: false,
        copiedByKernel: 0,
      });
    });

    test(`${mechanism}: memory in a device's queue is held beyond the reset of its connection`, async () => {
      expect(await overwritten(mechanism, 'auto', 'reset')).toMatchObject({
        second: BLOCK_BYTES,
        inFlight: 1,
        isReleased: false,
      });
    });
  }

  test('reads a copy when nothing is to be sent without one', async () => {
    expect(await overwritten('send_zc', 'never')).toMatchObject({
      first: BLOCK_BYTES,
      second: 0,
      isReleased: true,
    });
  });
});
