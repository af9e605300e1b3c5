import { describe, it } from 'vitest';
import { storm } from './storm.ts';

describe('Shards that sleep, poll and think for random times', () => {
  it('lose no message and no wake-up', async () => {
    await storm(2, 3000, 1);
  });

  it('lose none when they are more than cores', async () => {
    await storm(3, 2000, 2);
  });
});
