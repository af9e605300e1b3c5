import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { globMatches, wholeOf } from '../../src/commands/glob.js';

function matches(pattern: string, text: string): boolean {
  const bytes = Buffer.from(text, 'latin1');
  return globMatches(wholeOf(Buffer.from(pattern, 'latin1')), bytes, 0, bytes.length);
}

/** The obvious matcher: it tries everything, and so is slow but easy to believe. */
function slowly(pattern: string, text: string): boolean {
  if (pattern === '') return text === '';
  const [first = '', rest = ''] = [pattern[0], pattern.slice(1)];
  if (first === '*') {
    return Array.from({ length: text.length + 1 }, (_, skip) => skip).some((skip) =>
      slowly(rest, text.slice(skip)),
    );
  }
  if (text === '') return false;
  if (first === '?') return slowly(rest, text.slice(1));
  if (first === '\\' && rest !== '') return text[0] === rest[0] && slowly(rest.slice(1), text.slice(1));
  if (first === '[') {
    const close = rest.indexOf(']');
    const inside = close < 0 ? rest : rest.slice(0, close);
    const negated = inside.startsWith('^');
    const found = (negated ? inside.slice(1) : inside).includes(text[0] ?? '');
    return found !== negated && slowly(close < 0 ? '' : rest.slice(close + 1), text.slice(1));
  }
  return text[0] === first && slowly(rest, text.slice(1));
}

describe('glob', () => {
  test.each<[string, string, boolean]>([
    ['', '', true],
    ['', 'a', false],
    ['*', '', true],
    ['**', 'abc', true],
    ['a*', 'abc', true],
    ['*c', 'abc', true],
    ['a*c', 'abdc', true],
    ['a*c', 'abdcx', false],
    ['*a*b*', 'xxaxxbxx', true],
    ['?', '', false],
    ['h?llo', 'hello', true],
    ['h?llo', 'hllo', false],
    ['h[ae]llo', 'hallo', true],
    ['h[ae]llo', 'hillo', false],
    ['h[^e]llo', 'hallo', true],
    ['h[^e]llo', 'hello', false],
    ['h[a-c]llo', 'hbllo', true],
    ['h[c-a]llo', 'hbllo', true],
    ['h[a-c]llo', 'hdllo', false],
    ['[a-]', '-', false],
    ['[a-]', '_', true],
    ['[\\]]', ']', true],
    ['[\\-a]', '-', true],
    ['[abc', 'b', true],
    ['[abc', 'd', false],
    ['[', '[', false],
    ['[^', 'x', true],
    ['[]', 'x', false],
    ['\\*', '*', true],
    ['\\*', 'a', false],
    ['\\[a]', '[a]', true],
    ['\\', '\\', true],
    ['a\\', 'a\\', true],
    ['\xff*', '\xff\x00', true],
  ])('%j on %j: %j', (pattern, text, expected) => {
    expect(matches(pattern, text)).toBe(expected);
  });

  test('as trying everything finds', () => {
    const pattern = fc
      .array(fc.constantFrom('a', 'b', '*', '?', '[ab]', '[^a]', '[b', '\\a', '\\*', 'c'), { maxLength: 8 })
      .map((parts) => parts.join(''));
    const text = fc
      .array(fc.constantFrom('a', 'b', 'c', '*'), { maxLength: 9 })
      .map((parts) => parts.join(''));
    fc.assert(
      fc.property(pattern, text, (glob, bytes) => {
        expect(matches(glob, bytes)).toBe(slowly(glob, bytes));
      }),
      { numRuns: 3000 },
    );
  });

  test('a pattern made to take exponential time does not', () => {
    expect(matches(`${'*a'.repeat(100)}*b`, 'a'.repeat(5000))).toBe(false);
  });
});
