// npm run check [-- --fix]: format and lint (biome), types of sources and tests (tsc), typed rules (eslint), file size.
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { main, root, run, say, setup, tool } from './workspace.mjs';

const LINES_MAX = 400;

function longFiles() {
  const listed = spawnSync('git', ['ls-files', '*.ts', '*.mjs', '*.cc', '*.h'], {
    cwd: root,
    encoding: 'utf8',
  });
  return listed.stdout
    .split('\n')
    .filter((file) => file !== '')
    .map((file) => ({ file, lines: readFileSync(path.join(root, file), 'utf8').split('\n').length - 1 }))
    .filter(({ lines }) => lines > LINES_MAX);
}

await main(async () => {
  await setup();
  const fix = process.argv.includes('--fix');
  const steps = [
    [
      'biome',
      [tool('@biomejs/biome', 'biome'), 'check', '--error-on-warnings', ...(fix ? ['--write'] : []), '.'],
    ],
    ['types of the tests', [tool('typescript', 'tsc'), '-p', 'tsconfig.test.json']],
    ['eslint', [tool('eslint'), '--max-warnings=0', ...(fix ? ['--fix'] : []), '.']],
  ];
  const failed = [];
  for (const [name, args] of steps) {
    if ((await run(process.execPath, args)) !== 0) failed.push(name);
  }
  for (const { file, lines } of longFiles())
    say(`warning: ${file} has ${lines} lines (aim: ${LINES_MAX} at most)`);
  say(failed.length === 0 ? 'check passed' : `check failed: ${failed.join(', ')}`);
  return failed.length === 0 ? 0 : 1;
});
