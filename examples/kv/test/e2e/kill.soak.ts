import fs from 'node:fs';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { killAndRecover } from './kill-support.ts';
import { temporaryDirectory } from './support.ts';

describe('kill -9 under load with --fsync always', () => {
  let data: string;
  beforeAll(() => {
    data = temporaryDirectory();
  });
  afterAll(() => fs.rmSync(data, { recursive: true }));

  it('loses no acknowledged write, 50 times at random moments', async () => {
    const acknowledged = await killAndRecover(data, 50, Math.random);
    console.log(`${acknowledged} acknowledged writes, all found`);
    expect(acknowledged).toBeGreaterThan(1000);
  });
});
