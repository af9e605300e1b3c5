import fc from 'fast-check';
import { it } from 'vitest';
import { faultProperty } from './fault-run.js';

it('keeps what a log called durable, whatever fails and however it ends', async () => {
  await fc.assert(faultProperty(), { numRuns: 3000 });
}, 600_000);
