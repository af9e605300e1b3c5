import { defineConfig } from 'vitest/config';

// `npm run soak` runs the long versions: files named *.soak.ts, which `npm test` leaves out.
const isSoak = process.env.SUNSTAR_SOAK === '1';
const kind = isSoak ? 'soak' : 'test';
const timeoutMs = isSoak ? 3_600_000 : 20_000;

export default defineConfig({
  test: {
    include: ['native', 'packages/*', 'examples/*', 'bench', 'scripts'].map(
      (p) => `${p}/test/**/*.${kind}.ts`,
    ),
    passWithNoTests: isSoak,
    // Rings, pinned threads and process-wide state: one process for each test file.
    pool: 'forks',
    // Several reactors polling on one core only slow each other down.
    maxWorkers: isSoak ? 1 : 2,
    testTimeout: timeoutMs,
    hookTimeout: timeoutMs,
    server: {
      deps: {
        // Built packages are loaded by Node itself, so that a test and the shards it starts share one build.
        external: [/\/(?:native|bench|packages\/[^/]+|examples\/[^/]+)\/dist\//, /\.node$/],
      },
    },
    coverage: {
      provider: 'v8',
      include: ['native/lib/**', 'packages/*/src/**', 'examples/*/src/**'],
    },
  },
});
