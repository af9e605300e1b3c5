import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { addDecimals, formatDecimal, parseDecimal } from '../../src/commands/decimal.js';
import { arity, bulk, integer, type Line, NOT_INTEGER, OK, runLines, TestShard } from './support.js';

const OVERFLOW = '-ERR increment or decrement would overflow\r\n';
const NOT_FLOAT = '-ERR value is not a valid float\r\n';
const INT64_MAX = 2n ** 63n - 1n;
const INT64_MIN = -(2n ** 63n);

const TABLES: readonly (readonly [string, readonly Line[]])[] = [
  [
    'INCR and its relatives',
    [
      ['incr n', integer(1)],
      ['incrby n 41', integer(42)],
      ['decr n', integer(41)],
      ['decrby n 50', integer(-9)],
      ['incrby n -1', integer(-10)],
      ['decrby n -20', integer(10)],
      ['get n', bulk('10')],
      ['decr new', integer(-1)],
      ['incr', arity('incr')],
    ],
  ],
  [
    'the expiry stays',
    [
      ['set n 5 px 500', OK],
      ['incr n', integer(6)],
      ['pttl n', integer(500)],
      ['incrbyfloat n 0.5', bulk('6.5')],
      ['pttl n', integer(500)],
    ],
  ],
  [
    'what is no integer',
    [
      ['set n abc', OK],
      ['incr n', NOT_INTEGER],
      ['set n ""', OK],
      ['incr n', NOT_INTEGER],
      ['set n 1.5', OK],
      ['incr n', NOT_INTEGER],
      ['set n 01', OK],
      ['incr n', NOT_INTEGER],
      ['set n -0', OK],
      ['incr n', NOT_INTEGER],
      ['set n 9223372036854775808', OK],
      ['incr n', NOT_INTEGER],
      ['incrby new abc', NOT_INTEGER],
      ['incrby new 9223372036854775808', NOT_INTEGER],
      ['exists new', integer(0)],
    ],
  ],
  [
    'beyond 2^53',
    [
      ['set n 9007199254740991', OK],
      ['incr n', integer(9007199254740992n)],
      ['incr n', integer(9007199254740993n)],
      ['incrby n 9007199254740993', integer(18014398509481986n)],
      ['set n 9223372036854775806', OK],
      ['incr n', integer(INT64_MAX)],
      ['incr n', OVERFLOW],
      ['get n', bulk('9223372036854775807')],
      ['set n -9223372036854775807', OK],
      ['decr n', integer(INT64_MIN)],
      ['decr n', OVERFLOW],
      ['decrby n 9223372036854775807', OVERFLOW],
      ['decrby new -9223372036854775808', '-ERR decrement would overflow\r\n'],
      ['incrby new -9223372036854775808', integer(INT64_MIN)],
    ],
  ],
  [
    'INCRBYFLOAT',
    [
      ['incrbyfloat f 0.1', bulk('0.1')],
      ['incrbyfloat f 0.2', bulk('0.3')],
      ['incrbyfloat f -0.3', bulk('0')],
      ['incrbyfloat f 3.0e3', bulk('3000')],
      ['incrbyfloat f 5.0e-3', bulk('3000.005')],
      ['set f 10.50', OK],
      ['incrbyfloat f 0.1', bulk('10.6')],
      ['incrbyfloat f abc', NOT_FLOAT],
      ['incrbyfloat f ""', NOT_FLOAT],
      ['incrbyfloat f inf', '-ERR increment would produce NaN or Infinity\r\n'],
      ['incrbyfloat f 1e309', NOT_FLOAT],
      ['set f abc', OK],
      ['incrbyfloat f 1', NOT_FLOAT],
      ['set f 1e308', OK],
      ['incrbyfloat f 1e308', '-ERR increment would produce NaN or Infinity\r\n'],
    ],
  ],
];

test.each(TABLES)('%s', (_title, lines) => runLines(lines));

test('all of int64, as BigInt has it', () => {
  const int64 = fc.oneof(
    fc.bigInt({ min: INT64_MIN, max: INT64_MAX }),
    fc.maxSafeInteger().map(BigInt),
    fc.constantFrom(INT64_MIN, INT64_MAX, 2n ** 53n, -(2n ** 53n), 0n),
    fc.bigInt({ min: 2n ** 53n - 3n, max: 2n ** 53n + 3n }),
  );
  const shard = new TestShard();
  fc.assert(
    fc.property(int64, int64, fc.boolean(), (start, by, up) => {
      shard.run('set', 'n', String(start));
      const sum = up ? start + by : start - by;
      const reply = shard.run(up ? 'incrby' : 'decrby', 'n', String(by));
      if (!up && by === INT64_MIN) expect(reply).toBe('-ERR decrement would overflow\r\n');
      else if (sum >= INT64_MIN && sum <= INT64_MAX) {
        expect(reply).toBe(integer(sum));
        expect(shard.run('get', 'n')).toBe(bulk(String(sum)));
      } else {
        expect(reply).toBe(OVERFLOW);
        expect(shard.run('get', 'n')).toBe(bulk(String(start)));
      }
    }),
    { numRuns: 500 },
  );
});

describe('decimals', () => {
  test.each([
    ['0', '0'],
    ['-0', '0'],
    ['+1.', '1'],
    ['.5', '0.5'],
    ['-.5', '-0.5'],
    ['1e2', '100'],
    ['1.25E-2', '0.0125'],
    ['000.100', '0.1'],
    ['1e-30', '0'],
    ['0.000000000000000005', '0.00000000000000001'],
    ['123456789012345678901234567890.5', '123456789012345678901234567890.5'],
  ])('%s is %s', (text, formatted) => {
    const decimal = parseDecimal(text);
    expect(decimal === null ? null : formatDecimal(decimal)).toBe(formatted);
  });

  test.each(['', '.', 'e5', '-', '1e', '1e99999', '0x10', ' 1', '1 ', '1'.repeat(300)])(
    '%j is no number',
    (text) => {
      expect(parseDecimal(text)).toBeNull();
    },
  );

  test('sums of cents are exact', () => {
    fc.assert(
      fc.property(fc.integer(), fc.integer(), (a, b) => {
        const cents = (value: number): string =>
          `${value < 0 ? '-' : ''}${Math.floor(Math.abs(value) / 100)}.${String(Math.abs(value) % 100).padStart(2, '0')}`;
        const sum = addDecimals(
          parseDecimal(cents(a)) ?? { units: 0n, scale: 0 },
          parseDecimal(cents(b)) ?? { units: 0n, scale: 0 },
        );
        expect(Number(formatDecimal(sum))).toBe((a + b) / 100);
      }),
    );
  });
});
