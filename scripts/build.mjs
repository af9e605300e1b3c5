// npm run build: compiles the addon and the TypeScript of an installed workspace.
import { buildAddon, buildTypeScript, main } from './workspace.mjs';

await main(async () => {
  await buildAddon();
  await buildTypeScript();
});
