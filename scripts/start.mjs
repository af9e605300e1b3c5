// npm start [-- OPTIONS]: sets up, then becomes the key-value server: same process, so signals and the exit code
// are the server's own. For the same reason package.json says `exec node`: a shell in between would die of npm's
// SIGTERM and leave the server behind.
import { existsSync } from 'node:fs';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import { main, root, ScriptError, setup } from './workspace.mjs';

const server = path.join(root, 'examples/kv/dist/main.js');

let isReady = false;
await main(async () => {
  await setup();
  if (!existsSync(server))
    throw new ScriptError(`${server} is missing: remove examples/kv/dist and try again.`);
  isReady = true;
});
if (isReady) {
  process.argv[1] = server;
  await import(pathToFileURL(server).href);
}
