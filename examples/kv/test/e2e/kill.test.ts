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

  it('loses no acknowledged write, 5 times at random moments', async () => {
    expect(await killAndRecover(data, 5, Math.random)).toBeGreaterThan(0);
  });
});
