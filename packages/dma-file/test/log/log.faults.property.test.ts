import { ERRNO } from '@sunstar/runtime';
import fc from 'fast-check';
import { describe, it } from 'vitest';
import { faultProperty, runWithFaults } from './fault-run.js';

const EIO = -ERRNO.EIO;

describe('Log on a disk whose operations fail', () => {
  it('keeps what it called durable, and says of nothing else that it is, whatever fails and however it ends', async () => {
    await fc.assert(faultProperty(), { numRuns: 300 });
  }, 60_000);

  it('does not lose what comes after a segment that was begun for nothing', async () => {
    await runWithFaults(0, [
      { kind: 'append', sizeBytes: 0, records: 1 },
      { kind: 'fault', after: 1, error: EIO },
      { kind: 'roll' },
      { kind: 'complete', count: 40 },
      { kind: 'append', sizeBytes: 0, records: 1 },
      { kind: 'roll' },
      { kind: 'append', sizeBytes: 0, records: 1 },
    ]);
  });
});
