import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { LocalAddresses } from '../../src/zero-copy/local-addresses.ts';
import { LockedMemory } from '../../src/zero-copy/locked-memory.ts';
import { ZeroCopyPolicy } from '../../src/zero-copy/policy.ts';

const MIB = 1_048_576;

describe('the policy of a connection', () => {
  test('backs off when the kernel keeps copying, for longer each time, and comes back when it stops', () => {
    const policy = new ZeroCopyPolicy(false);
    policy.notified(true, 7);
    expect(policy.decide(100_000, 0)).toBeNull();
    policy.notified(true);
    let pauses = [1, 2, 4].map((mebibytes) => {
      let copiedBytes = 0;
      while (policy.decide(100_000, 0) === 'kernelCopies') copiedBytes += 100_000;
      expect(Math.abs(copiedBytes - mebibytes * MIB)).toBeLessThanOrEqual(100_000);
      policy.notified(true);
      return copiedBytes;
    });
    expect(pauses).toHaveLength(3);
    while (policy.decide(100_000, 0) !== null);
    policy.notified(false);
    policy.notified(true, 7);
    expect(policy.decide(100_000, 0)).toBeNull();
    pauses = [];
  });

  test('does not back off when it is forced', () => {
    const policy = new ZeroCopyPolicy(true);
    policy.notified(true, 1000);
    expect(policy.decide(100_000, 0)).toBeNull();
  });

  test('without buffers: the refused send is copied whatever happens, then half must have been notified', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 1000 }), (others) => {
        const policy = new ZeroCopyPolicy(false);
        policy.outOfBuffers(others);
        expect(policy.decide(50_000, 0)).toBe('noBuffers');
        for (let inFlight = others; inFlight > others >>> 1; inFlight--) {
          expect(policy.decide(50_000, inFlight)).toBe('noBuffers');
        }
        expect(policy.decide(50_000, others >>> 1)).toBeNull();
      }),
    );
  });

  test('without buffers and nothing in flight: copies some output instead of waiting for what never comes', () => {
    const policy = new ZeroCopyPolicy(false);
    policy.outOfBuffers(0);
    let copiedBytes = 0;
    while (policy.decide(50_000, 0) === 'noBuffers') copiedBytes += 50_000;
    expect(copiedBytes).toBeGreaterThanOrEqual(MIB);
    expect(copiedBytes).toBeLessThan(MIB + 150_000);
  });
});

describe('locked memory', () => {
  test('is never over the share of the limit, whatever is sent and notified', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 0, max: 4 * MIB }),
        fc.integer({ min: 1, max: 16 }),
        fc.array(fc.tuple(fc.boolean(), fc.nat(MIB)), { maxLength: 100 }),
        (limitBytes, shards, steps) => {
          const memory = new LockedMemory(limitBytes, shards);
          const sent: number[] = [];
          for (const [isSend, wanted] of steps) {
            if (isSend) {
              const sizeBytes = Math.min(wanted, memory.roomBytes);
              if (sizeBytes === 0) continue;
              memory.add(sizeBytes);
              sent.push(sizeBytes);
            } else if (sent.length > 0) memory.remove(sent.splice(wanted % sent.length, 1)[0]);
            // What the kernel counts: whole pages and two more.
            const pages = sent.reduce((sum, bytes) => sum + Math.floor(bytes / 4096) + 2, 0);
            expect(memory.usedBytes).toBe(pages * 4096);
            expect(memory.usedBytes).toBeLessThanOrEqual(limitBytes / 2 / shards);
          }
        },
      ),
    );
  });

  test('without a limit there is always room; what was refused once is not tried again', () => {
    const memory = new LockedMemory(-1, 8);
    memory.refused(100_000);
    expect(memory.roomBytes).toBe(Number.POSITIVE_INFINITY);
    const limited = new LockedMemory(8 * MIB, 1);
    limited.refused(100_000);
    expect(limited.roomBytes).toBeLessThan(50_000);
    expect(() => limited.remove(1)).toThrow();
  });
});

test('local addresses: loopback, those of interfaces, and both mapped into IPv6; asked again after 10 s', () => {
  let nowMs = 0;
  let list = ['192.0.2.7', '2001:db8::7'];
  let asked = 0;
  const addresses = new LocalAddresses(
    () => nowMs,
    () => {
      asked++;
      return list;
    },
  );
  for (const address of ['127.0.0.1', '127.1.2.3', '::1', '::ffff:127.0.0.1']) {
    expect(addresses.has(address)).toBe(true);
  }
  expect(asked).toBe(0);
  for (const address of ['192.0.2.7', '::ffff:192.0.2.7', '2001:db8::7']) {
    expect(addresses.has(address)).toBe(true);
  }
  expect(addresses.has('192.0.2.8')).toBe(false);
  list = ['192.0.2.8'];
  nowMs = 9_999;
  expect(addresses.has('192.0.2.8')).toBe(false);
  expect(asked).toBe(1);
  nowMs = 10_000;
  expect(addresses.has('192.0.2.8')).toBe(true);
  expect(addresses.has('192.0.2.7')).toBe(false);
});
