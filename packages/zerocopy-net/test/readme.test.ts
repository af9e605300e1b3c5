import { execFile } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { expect, test } from 'vitest';

const root = fileURLToPath(new URL('..', import.meta.url));

test('the first example of the README runs, prints what it says, and ends by itself', async () => {
  const readme = readFileSync(`${root}/README.md`, 'utf8');
  const example = /```ts\n(.*?)```/s.exec(readme)?.[1] ?? '';
  expect(example).toContain("from '@sunstar/zerocopy-net'");
  const { stdout } = await promisify(execFile)(process.execPath, ['--input-type=module', '--eval', example], {
    cwd: root,
    timeout: 15_000,
  });
  expect(stdout).toBe('you said: hello\n');
});
