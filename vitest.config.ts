import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    include: [
      'native/test/**/*.test.ts',
      'packages/*/test/**/*.test.ts',
      'examples/*/test/**/*.test.ts',
      'bench/test/**/*.test.ts',
      'scripts/test/**/*.test.ts',
    ],
    // Rings, pinned threads and process-wide state: one process for each test file.
    pool: 'forks',
    // Several reactors polling on one core only slow each other down.
    maxWorkers: 2,
    testTimeout: 20_000,
    hookTimeout: 20_000,
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
