// npm run docs: the API reference of all packages, into docs/api. A warning fails it.
import { main, run, setup, tool } from './workspace.mjs';

await main(async () => {
  await setup();
  return run(process.execPath, [tool('typedoc'), ...process.argv.slice(2)]);
});
