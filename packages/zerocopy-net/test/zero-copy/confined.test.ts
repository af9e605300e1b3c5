import { describe, expect, test } from 'vitest';
import { Child } from '../support/child.ts';
import {
  mayDropPrivileges,
  mayFilterCalls,
  mayMakeDevices,
  mayMakeNetworks,
  networkOfDevices,
  privateNetwork,
  unprivileged,
  withoutZeroCopyOption,
} from '../support/confined.ts';

const TOTAL_BYTES = 100 * 65_536;

/** What a process made of sending a stream to itself, with counters. */
async function sendToItself(
  prefix: string,
  options: Record<string, unknown>,
): Promise<Record<string, number>> {
  const argument = { zeroCopy: 'always', blocks: 100, blockBytes: 65_536, ...options };
  await using child = new Child('zero-copy-to-itself.mjs', [JSON.stringify(argument)], prefix);
  const result = JSON.parse(await child.line()) as Record<string, number>;
  expect(await child.exited).toBe(0);
  // Whatever was refused, all of it arrives, and nothing is held in the end.
  expect(result).toMatchObject({
    receivedBytes: TOTAL_BYTES,
    badBytes: 0,
    held: 0,
    inFlight: 0,
    heldBytes: 0,
  });
  expect(result.notified).toBe(result.sends);
  return result;
}

function copied(result: Record<string, unknown>): Record<string, number> {
  return result.copied as Record<string, number>;
}

describe.skipIf(!mayMakeNetworks)('little memory for notifications (net.core.optmem_max)', () => {
  test('with sends in flight, some are copied until half of those have been notified', async () => {
    const result = await sendToItself(privateNetwork(2048), { mechanism: 'msg_zerocopy' });
    expect(result.outOfBuffers).toBeGreaterThan(0);
    expect(copied(result).noBuffers).toBeGreaterThan(0);
    expect(result.sends).toBeGreaterThan(2);
  });

  test('with none in flight, sends are copied at once: nothing would end a wait', async () => {
    const result = await sendToItself(privateNetwork(100), { mechanism: 'msg_zerocopy' });
    expect(result.outOfBuffers).toBeGreaterThan(0);
    // After each refusal twice as much is copied as after the one before: 1 MiB, 2 MiB, 4 MiB of the 6.25.
    expect(result.outOfBuffers).toBeLessThanOrEqual(3);
    expect(result.sends).toBe(0);
  });

  test('does not concern SEND_ZC', async () => {
    const result = await sendToItself(privateNetwork(100), { mechanism: 'send_zc' });
    expect(result.outOfBuffers).toBe(0);
    expect(result.sends).toBeGreaterThan(2);
  });
});

describe.skipIf(!mayMakeDevices)('addresses of this machine on a device of their own', () => {
  test.each([
    ['veth', '192.0.2.1'],
    ['veth without a carrier, which the list of interfaces leaves out', '192.0.2.2'],
    ['macvlan', '192.0.2.3'],
  ])('%s: nothing is sent to them without a copy', async (_device, host) => {
    for (const mechanism of ['send_zc', 'msg_zerocopy']) {
      const result = await sendToItself(networkOfDevices, { mechanism, host, zeroCopy: 'auto' });
      expect(result.sends).toBe(0);
      expect(copied(result).localPeer).toBeGreaterThan(0);
    }
  });
});

describe.skipIf(!mayDropPrivileges)('little locked memory (ulimit -l), as a user without rights', () => {
  for (const mechanism of ['send_zc', 'msg_zerocopy']) {
    test(`${mechanism}: sends that would go over the limit are copied without trying`, async () => {
      const result = await sendToItself(unprivileged(1024), { mechanism });
      expect(result.lockedMemoryLimitBytes).toBe(524_288);
      expect(copied(result).lockedMemory).toBeGreaterThan(0);
      expect(result.sends).toBeGreaterThan(0);
    });

    test(`${mechanism}: what the kernel refuses all the same is copied, and not tried again and again`, async () => {
      // The ring itself has taken most of it.
      const result = await sendToItself(unprivileged(300), { mechanism });
      expect(result.outOfBuffers + copied(result).lockedMemory).toBeGreaterThan(0);
      expect(result.outOfBuffers).toBeLessThan(20);
    });
  }

  test('memory that may not be registered is not registered, and sends go on', async () => {
    const result = await sendToItself(unprivileged(8192), {
      mechanism: 'send_zc',
      registerMemory: true,
      hugePages: 'never',
    });
    expect(result.isMemoryRegistered).toBe(false);
    expect((result as Record<string, unknown>).registrationReason).toContain('ENOMEM');
    expect(result.sends).toBeGreaterThan(0);
  });
});

describe.skipIf(!mayFilterCalls)('a kernel that refuses SO_ZEROCOPY', () => {
  test('everything is copied, nothing waits for a notification, and the stats say why', async () => {
    const result = await sendToItself(withoutZeroCopyOption, { mechanism: 'msg_zerocopy' });
    expect(result.sends).toBe(0);
    expect(copied(result).notSupported).toBeGreaterThan(0);
  });

  test('does not concern SEND_ZC', async () => {
    const result = await sendToItself(withoutZeroCopyOption, { mechanism: 'send_zc' });
    expect(result.sends).toBeGreaterThan(2);
  });
});

describe('registered memory', () => {
  test('the same bytes', async () => {
    const options = { mechanism: 'send_zc', registerMemory: true, hugePages: 'never' };
    const result = await sendToItself('', options);
    expect(result.isMemoryRegistered).toBe(true);
    expect(result.sends).toBeGreaterThan(0);
  });

  test('none with huge pages, and the stats say why', async () => {
    const options = { mechanism: 'send_zc', registerMemory: true, hugePages: 'auto' };
    const result = (await sendToItself('', options)) as Record<string, unknown>;
    const reason = String(result.registrationReason);
    // Where the system gives none, there is nothing to be said against it.
    if (result.isMemoryRegistered === true) expect(reason).toBe('asked for');
    else expect(reason).toContain('huge pages');
  });
});
