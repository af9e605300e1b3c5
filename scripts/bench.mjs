// npm run bench [-- NAME… --json FILE --rounds N]: sets up, then measures. Without a name it lists the benchmarks.
import path from 'node:path';
import { main, root, run, setup } from './workspace.mjs';

await main(async () => {
  await setup();
  return run(process.execPath, [path.join(root, 'bench/dist/main.js'), ...process.argv.slice(2)]);
});
