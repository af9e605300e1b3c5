import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Answer, AnswerReader } from '../../src/server/frames.ts';

describe('Answer', () => {
  it('arrives in pieces of moderate size, complete and in order', () => {
    const sizes = fc.array(fc.oneof(fc.nat(50), fc.integer({ min: 1_000_000, max: 6_000_000 })), {
      minLength: 1,
      maxLength: 12,
    });
    fc.assert(
      fc.property(sizes, (lengths) => {
        const replies = lengths.map((length, index) => Buffer.alloc(length, index));
        const answer = new Answer(replies);
        const received: Uint8Array[] = [];
        let total = 0;
        const left = answer.leftBytes;
        for (let isLast = false; !isLast; ) {
          isLast = answer.isLastPiece;
          const piece = answer.take(isLast ? 0 : 77);
          total += piece.length;
          // One reply may be larger than a piece, but no second one follows it.
          expect(piece.length).toBeLessThan(4 * 1024 * 1024 + 6_000_000 + 1000);
          const reader = new AnswerReader(piece);
          expect(reader.ticket).toBe(isLast ? 0 : 77);
          for (let reply = reader.next(); reply !== undefined; reply = reader.next()) received.push(reply);
          expect(answer.leftBytes).toBe(left - total);
        }
        expect(received.length).toBe(replies.length);
        for (const [index, reply] of received.entries()) expect(replies[index].equals(reply)).toBe(true);
      }),
      { numRuns: 20 },
    );
  });
});
