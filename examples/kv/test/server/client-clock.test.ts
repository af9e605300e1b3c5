import { describe, expect, it } from 'vitest';
import { parseOptions } from '../../src/options.ts';
import { ClientClock } from '../../src/server/client-clock.ts';

const options = parseOptions([
  ...['--memory', '256MiB', '--shards', '1', '--timeout', '100'],
  ...['--handshake-timeout', '10', '--client-output-timeout', '20'],
]);

describe('ClientClock', () => {
  it('ends the wait for a first command, however much else is sent', () => {
    const clock = new ClientClock(1000);
    clock.active(9000);
    expect(clock.check(10_999, 0, options)).toBeNull();
    expect(clock.check(11_000, 0, options)).toBe('handshake');
  });

  it('notices a client that is idle, but not while it has replies to read', () => {
    const clock = new ClientClock(0);
    clock.command();
    clock.active(5000);
    expect(clock.check(104_999, 0, options)).toBeNull();
    expect(clock.check(105_000, 0, options)).toBe('idle');
    expect(clock.idleMs(105_000)).toBe(100_000);
    expect(clock.ageMs(105_000)).toBe(105_000);
  });

  it('notices a client that reads nothing, from when it last has', () => {
    const clock = new ClientClock(0);
    clock.command();
    expect(clock.check(1000, 5000, options)).toBeNull();
    expect(clock.check(15_000, 4000, options)).toBeNull();
    expect(clock.check(34_999, 4000, options)).toBeNull();
    expect(clock.check(35_000, 4000, options)).toBe('output');
    expect(clock.check(36_000, 0, options)).toBeNull();
  });

  it('takes 0 for never', () => {
    const clock = new ClientClock(0);
    const never = { ...options, idleTimeoutMs: 0, handshakeTimeoutMs: 0, clientOutputTimeoutMs: 0 };
    expect(clock.check(1e12, 0, never)).toBeNull();
    expect(clock.check(2e12, 10, never)).toBeNull();
    expect(clock.check(3e12, 10, never)).toBeNull();
  });
});
