// npm run soak [-- FILE…]: the long tests (*.soak.ts), one after the other: crashes, restarts and leaks, many times.
import { main, run, setup, tool } from './workspace.mjs';

await main(async () => {
  await setup();
  return run(process.execPath, [tool('vitest'), 'run', ...process.argv.slice(2)], {
    env: { SUNSTAR_SOAK: '1' },
  });
});
