// npm run setup: makes a clone runnable, and is quick when nothing changed. The other scripts do it first.
import { main, say, setup } from './workspace.mjs';

await main(async () => {
  await setup();
  say('ready. `npm start` runs the key-value server, `npm test` the tests.');
});
