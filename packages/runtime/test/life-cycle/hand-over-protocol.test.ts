import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  decodeHeader,
  decodeSocket,
  encodeHeader,
  encodeSocket,
  MAX_SOCKETS,
  RECORD_BYTES,
} from '../../src/life-cycle/hand-over-protocol.js';
import { dealSockets, ListeningSockets } from '../../src/life-cycle/listening-sockets.js';

const hosts = fc.constantFrom(
  '127.0.0.1',
  '::1',
  '0.0.0.0',
  'fe80::1234:5678:9abc:def0%enp0s31f6',
  'unix:\0näme',
);
const ports = fc.integer({ min: 1, max: 65_535 });

describe('records', () => {
  it('arrive as they were written, in a fixed size', () => {
    fc.assert(
      fc.property(fc.nat(MAX_SOCKETS), hosts, ports, (count, host, port) => {
        expect(encodeHeader(count)).toHaveLength(RECORD_BYTES);
        expect(decodeHeader(encodeHeader(count))).toBe(count);
        expect(encodeSocket({ host, port })).toHaveLength(RECORD_BYTES);
        expect(decodeSocket(encodeSocket({ host, port }))).toEqual({ host, port });
      }),
    );
  });

  it('of any other content are refused with a code', () => {
    const texts = fc.oneof(
      fc.string(),
      fc.json(),
      fc.record({ version: fc.anything(), sockets: fc.anything() }).map((value) => JSON.stringify(value)),
      fc.record({ host: fc.anything(), port: fc.anything() }).map((value) => JSON.stringify(value)),
      fc.constant(`{"version":1,"sockets":${MAX_SOCKETS + 1}}`),
      fc.constant(`{"host":"${'1'.repeat(129)}","port":1}`),
      fc.constant('{"version":{"toString":0,"valueOf":0}}'),
      fc.constant('{"version":1,"sockets":{"toString":0,"valueOf":0}}'),
    );
    fc.assert(
      fc.property(texts, (text) => {
        const bytes = Buffer.from(text);
        for (const decode of [decodeHeader, decodeSocket]) {
          try {
            const value = decode(bytes);
            if (typeof value === 'number') expect(value >= 0 && value <= MAX_SOCKETS).toBe(true);
            else expect(value.host.length <= 128 && value.port >= 0 && value.port <= 65_535).toBe(true);
          } catch (error) {
            expect(error).toMatchObject({ code: 'SUNSTAR_HAND_OVER_FAILED' });
          }
        }
      }),
    );
    expect(() => encodeSocket({ host: 'x'.repeat(600), port: 1 })).toThrow(/too long/);
  });
});

describe('sockets of the process before', () => {
  it('are all dealt out, those of one address evenly', () => {
    fc.assert(
      fc.property(
        fc.array(fc.record({ host: hosts, port: fc.integer({ min: 1, max: 3 }) })),
        fc.integer({ min: 1, max: 6 }),
        (addresses, shardCount) => {
          const sockets = addresses.map((address, index) => ({ ...address, fd: index + 3 }));
          const hands = dealSockets(sockets, shardCount);
          expect(hands).toHaveLength(shardCount);
          expect(hands.flat().sort((a, b) => a.fd - b.fd)).toEqual(sockets);
          for (const { host, port } of sockets) {
            const counts = hands.map((hand) => hand.filter((s) => s.host === host && s.port === port).length);
            expect(Math.max(...counts) - Math.min(...counts)).toBeLessThanOrEqual(1);
          }
        },
      ),
    );
  });

  it('are claimed once, by their address', () => {
    const listeners = new ListeningSockets(true, [
      { fd: 1_000_001, host: '127.0.0.1', port: 7000 },
      { fd: 1_000_002, host: '127.0.0.1', port: 7000 },
      { fd: 1_000_003, host: '::1', port: 7000 },
    ]);
    expect(listeners.claim('127.0.0.1', 7001)).toEqual([]);
    expect(listeners.claim('127.0.0.1', 7000)).toEqual([1_000_001, 1_000_002]);
    expect(listeners.claim('127.0.0.1', 7000)).toEqual([]);
    let looks = 0;
    listeners.offer({ fd: 1_000_001, host: '127.0.0.1', port: 7000 }, () => looks++);
    listeners.invariants();
    listeners.lookAgain();
    expect(looks).toBe(1);
    // Such descriptors do not exist.
    expect(listeners.duplicates()).toEqual([]);
    listeners.withdraw(1_000_001);
    expect(listeners.closeUnclaimed()).toEqual([{ fd: 1_000_003, host: '::1', port: 7000 }]);
    expect(listeners.closeUnclaimed()).toEqual([]);
  });
});
