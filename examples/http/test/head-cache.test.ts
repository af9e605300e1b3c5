import fc from 'fast-check';
import { expect, test } from 'vitest';
import { HeadCache } from '../src/head-cache.ts';

const head = fc.record({
  status: fc.constantFrom(200, 404),
  fields: fc.dictionary(fc.constantFrom('A', 'B', 'C'), fc.constantFrom('x', 'y', 1), {
    noNullPrototype: true,
  }),
  variant: fc.nat(2),
  lengthBytes: fc.constantFrom(undefined, 0, 5),
  date: fc.constantFrom('Date: 1', 'Date: 2'),
});

test('matches exactly the head that was kept last, also when the object of its fields was changed', () => {
  fc.assert(
    fc.property(fc.array(fc.tuple(head, fc.boolean()), { maxLength: 30 }), (steps) => {
      const cache = new HeadCache();
      let kept = '';
      const shared: Record<string, string | number> = {};
      for (const [{ status, fields, variant, lengthBytes, date }, isShared] of steps) {
        if (isShared) {
          for (const name of Object.keys(shared)) delete shared[name];
          Object.assign(shared, fields);
        }
        const given = isShared ? shared : fields;
        const text = JSON.stringify([status, Object.entries(given), variant, lengthBytes ?? null, date]);
        const matches = cache.matches(status, given, variant, lengthBytes, date);
        expect(matches).toBe(text === kept);
        if (matches) expect(cache.bytes.toString('latin1')).toBe(text);
        else cache.keep(status, given, variant, lengthBytes, date, text);
        kept = text;
      }
    }),
  );
});
