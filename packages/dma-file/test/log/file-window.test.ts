import { appendFileSync, writeFileSync } from 'node:fs';
import { DmaFile } from '@sunstar/dma-file';
import { expect, it } from 'vitest';
import { FileWindow } from '../../src/log/file-window.js';
import { scratch } from '../support.js';

const { path } = scratch();

it('gives what the file has, and nothing from behind its end', async () => {
  const bytes = Buffer.from(Uint8Array.from({ length: 300_000 }, (_, i) => Math.imul(i + 1, 40503) >>> 8));
  writeFileSync(path('file'), bytes);
  await using file = await DmaFile.open(path('file'));
  using window = new FileWindow(file);
  for (const [position, length] of [
    [0, 40],
    [100, 5000],
    [200_000, 90_000],
    [299_990, 10],
    [299_990, 11],
    [299_990, 200_000],
    [300_000, 1],
    [900_000, 100],
    [0, 300_001],
  ]) {
    const content = await window.read(position, length);
    expect(content.equals(bytes.subarray(position, position + length))).toBe(true);
  }
  appendFileSync(path('file'), 'more');
  window.invalidate();
  expect((await window.read(299_999, 100)).toString('latin1', 1)).toBe('more');
});
