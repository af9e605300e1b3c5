// npm test [-- FILE…]: sets up, runs the tests, names what was skipped, and ends with "N passed, N failed".
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { closingLine, summarize } from './summary.mjs';
import { main, run, setup, tool } from './workspace.mjs';

await main(async () => {
  await setup();
  const directory = mkdtempSync(path.join(tmpdir(), 'sunstar-test-'));
  const report = path.join(directory, 'report.json');
  try {
    const parameters = [
      tool('vitest'),
      'run',
      '--reporter=default',
      '--reporter=json',
      `--outputFile.json=${report}`,
      ...process.argv.slice(2),
    ];
    // On the kernel's rings and on the emulated ones: the closing line counts both.
    const env = { SUNSTAR_TEST_RINGS: process.env.SUNSTAR_TEST_RINGS ?? 'both' };
    const code = await run(process.execPath, parameters, { env });
    const summary = summarize(JSON.parse(readFileSync(report, 'utf8')), code);
    for (const name of summary.skippedNames) console.log(`skipped: ${name}`);
    console.log(closingLine(summary));
    return code !== 0 || summary.failed > 0 ? 1 : 0;
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
});
