import { SunstarError } from '@sunstar/runtime';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  bodyBytes,
  MAX_BODY_BYTES,
  type ProxiedAddresses,
  parseBinaryHeader,
  parseTextHeader,
  SIGNATURE,
} from '../../src/proxy-protocol/header.ts';

const port = fc.integer({ min: 0, max: 65_535 });

/** As the URL parser writes it. */
function canonical(address: string): string {
  return address.includes(':') ? new URL(`http://[${address}]`).hostname.slice(1, -1) : address;
}

function addressesOf(ip: fc.Arbitrary<string>): fc.Arbitrary<ProxiedAddresses> {
  return fc.record({ remoteAddress: ip, remotePort: port, localAddress: ip, localPort: port });
}

const v6 = fc
  .array(fc.oneof(fc.constant(0), fc.integer({ min: 0, max: 0xffff })), { minLength: 8, maxLength: 8 })
  .map((groups) => canonical(groups.map((group) => group.toString(16)).join(':')));
const addresses = fc.oneof(addressesOf(fc.ipV4()), addressesOf(v6));

function binary(command: number, family: number, body: Uint8Array): [Uint8Array, Uint8Array] {
  return [Uint8Array.of(...SIGNATURE, 0x20 | command, family, body.length >>> 8, body.length & 255), body];
}

function bytesOf(address: string): number[] {
  if (!address.includes(':')) return address.split('.').map(Number);
  const [head, tail = ''] = address.split('::');
  const groups = (text: string): number[] =>
    text === '' ? [] : text.split(':').map((g) => Number.parseInt(g, 16));
  const front = groups(head);
  const back = address.includes('::') ? groups(tail) : [];
  const zeros = Array<number>(8 - front.length - back.length).fill(0);
  return [...front, ...zeros, ...back].flatMap((group) => [group >>> 8, group & 255]);
}

describe('a PROXY header', () => {
  test('of version 1 says who connects', () => {
    fc.assert(
      fc.property(addresses, (a) => {
        const family = a.remoteAddress.includes(':') ? 'TCP6' : 'TCP4';
        const line = `PROXY ${family} ${a.remoteAddress} ${a.localAddress} ${a.remotePort} ${a.localPort}`;
        expect(parseTextHeader(line)).toEqual(a);
      }),
    );
    expect(parseTextHeader('PROXY UNKNOWN')).toBeNull();
    expect(parseTextHeader('PROXY UNKNOWN ffff:: :: 1 2')).toBeNull();
  });

  test('of version 2 does, too, whatever comes behind the addresses', () => {
    fc.assert(
      fc.property(addresses, fc.uint8Array({ maxLength: 100 }), (a, tlvs) => {
        const ports = [a.remotePort >>> 8, a.remotePort & 255, a.localPort >>> 8, a.localPort & 255];
        const body = Uint8Array.of(
          ...bytesOf(a.remoteAddress),
          ...bytesOf(a.localAddress),
          ...ports,
          ...tlvs,
        );
        const [fixed] = binary(1, a.remoteAddress.includes(':') ? 0x21 : 0x11, body);
        expect(bodyBytes(fixed)).toBe(body.length);
        expect(parseBinaryHeader(fixed, body)).toEqual(a);
      }),
    );
    expect(parseBinaryHeader(...binary(0, 0x11, new Uint8Array(12)))).toBeNull();
    expect(parseBinaryHeader(...binary(1, 0x31, new Uint8Array(216)))).toBeNull();
  });

  test('that is none is an error with a code, and nothing else', () => {
    const isRefused = (parse: () => unknown): void => {
      try {
        parse();
      } catch (error) {
        expect((error as SunstarError).code).toBe('SUNSTAR_PROXY_HEADER');
      }
    };
    const bad = [
      'GET / HTTP/1.1',
      'PROXY TCP5 1.2.3.4 1.2.3.4 1 2',
      'PROXY TCP4 ::1 ::1 1 2',
      'PROXY TCP4 1.2.3.4 1.2.3.4 1 65536',
      'PROXY TCP4 1.2.3.4 1.2.3.4 01 2',
      'PROXY TCP4 1.2.3.4 1.2.3.4 1 2 3',
      'PROXY TCP4 1.2.3.4',
      'PROXY',
    ];
    for (const line of bad) expect(() => parseTextHeader(line)).toThrow(SunstarError);
    fc.assert(fc.property(fc.string(), (text) => isRefused(() => parseTextHeader(`PROXY TCP4 ${text}`))));
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 4, maxLength: 4 }), fc.uint8Array(), (rest, body) => {
        const fixed = Uint8Array.of(...SIGNATURE, ...rest);
        isRefused(() => expect(bodyBytes(fixed)).toBeLessThanOrEqual(MAX_BODY_BYTES));
        isRefused(() => parseBinaryHeader(fixed, body));
      }),
    );
  });
});
