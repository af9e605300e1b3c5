import { execFile } from 'node:child_process';
import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

/** The version that is measured. */
const BUN_VERSION = '1.4.5';

const PACKAGES: Readonly<Record<string, string>> = {
  x64: '@oven/bun-linux-x64',
  arm64: '@oven/bun-linux-aarch64',
};

/**
 * The program of Bun, a peer. It is installed when a benchmark first needs it, beside the build: 90 MB that nobody
 * else should have to fetch.
 */
export async function bun(): Promise<string> {
  const name = PACKAGES[process.arch];
  if (name === undefined) throw new Error(`There is no Bun for ${process.arch}.`);
  const directory = fileURLToPath(new URL('../../build/peers/', import.meta.url));
  const program = join(directory, 'node_modules', name, 'bin', 'bun');
  if (!existsSync(program)) {
    process.stderr.write(`installing ${name}@${BUN_VERSION} …\n`);
    mkdirSync(directory, { recursive: true });
    writeFileSync(join(directory, 'package.json'), '{ "private": true }\n');
    await promisify(execFile)('npm', ['install', '--no-audit', '--no-fund', `${name}@${BUN_VERSION}`], {
      cwd: directory,
    });
  }
  return program;
}
