import { defineConfig } from 'vitest/config';

// `npm run soak` runs the long versions: files named *.soak.ts, which `npm test` leaves out.
const isSoak = process.env.SUNSTAR_SOAK === '1';
const kind = isSoak ? 'soak' : 'test';
const timeoutMs = isSoak ? 3_600_000 : 20_000;

/** `io_uring`, `emulated` or, as `npm test` sets it, `both`. */
const rings = isSoak ? 'io_uring' : (process.env.SUNSTAR_TEST_RINGS ?? 'io_uring');
const everything = ['native', 'packages/*', 'examples/*', 'bench', 'scripts'].map(
  (p) => `${p}/test/**/*.${kind}.ts`,
);

/** What goes through a ring can be tested on both: the kernel's, and the emulated one (scripts/test/one-ring.ts). */
const RINGS = [
  { extends: true as const, test: { name: 'io_uring', include: everything } },
  {
    extends: true as const,
    test: {
      name: 'emulated',
      include: [
        'packages/runtime/test/{reactor,smp,life-cycle,io,observe,scheduling}/**/*.test.ts',
        'packages/runtime/test/*.test.ts',
        'packages/{dma-file,zerocopy-net}/test/**/*.test.ts',
        'examples/{http,file-server}/test/**/*.test.ts',
        'examples/kv/test/e2e/{ioredis,redis-tools}.test.ts',
      ],
      // SEND_ZC is an operation of the kernel; the same tests run there with MSG_ZEROCOPY.
      exclude: ['packages/zerocopy-net/test/zero-copy/*-send-zc.test.ts'],
      env: { SUNSTAR_BACKEND: 'emulated' },
      setupFiles: ['scripts/test/one-ring.ts'],
    },
  },
];

export default defineConfig({
  test: {
    projects: RINGS.filter(({ test }) => rings === 'both' || rings === test.name),
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
