// What the scripts share: where things are, how to run a program, and the three steps that make a clean clone
// runnable (install, addon, TypeScript). Each step does nothing when its inputs have not changed.
import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

export const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '..');

const manifest = JSON.parse(readFileSync(path.join(root, 'package.json'), 'utf8'));

/** The prefix of the running Node: its headers are under include/node, so node-gyp needs no download. */
const nodePrefix = path.resolve(process.execPath, '../..');
const hasHeaders = existsSync(path.join(nodePrefix, 'include/node/node_api.h'));

/** A failure whose message is all that the user needs: printed without a stack. */
export class ScriptError extends Error {}

/** Runs a script's main function: a ScriptError is printed as one message, and decides the exit code. */
export async function main(body) {
  try {
    process.exitCode = (await body()) ?? 0;
  } catch (error) {
    console.error(error instanceof ScriptError ? `sunstar: ${error.message}` : error);
    process.exitCode = 1;
  }
}

export function say(message) {
  process.stderr.write(`sunstar: ${message}\n`);
}

/** Runs a program with this terminal as its own; resolves with its exit code. */
export function run(command, args, { cwd = root, env = {} } = {}) {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, { cwd, env: { ...process.env, ...env }, stdio: 'inherit' });
    child.on('error', reject);
    child.on('exit', (code, signal) => resolve(code ?? (signal === null ? 1 : 128)));
  });
}

/** Runs a program quietly; its output appears only when it fails. */
async function runQuietly(what, command, args, env = {}) {
  const child = spawn(command, args, {
    cwd: root,
    env: { ...process.env, ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let output = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8').on('data', (text) => {
      output += text;
    });
  }
  const code = await new Promise((resolve, reject) => {
    child.on('error', reject);
    child.on('close', resolve);
  });
  if (code !== 0) throw new ScriptError(`${what} failed (exit code ${code}):\n${output.trimEnd()}`);
}

/** The path of a development tool's entry file, to be run with the running Node. */
export function tool(packageName, binName = packageName) {
  const directory = path.join(root, 'node_modules', packageName);
  const { bin } = JSON.parse(readFileSync(path.join(directory, 'package.json'), 'utf8'));
  return path.join(directory, typeof bin === 'string' ? bin : bin[binName]);
}

function isOnPath(program) {
  return (process.env.PATH ?? '').split(':').some((directory) => existsSync(path.join(directory, program)));
}

function filesUnder(directory, accept) {
  if (!existsSync(directory)) return [];
  return readdirSync(directory, { withFileTypes: true })
    .flatMap((entry) => {
      const file = path.join(directory, entry.name);
      return entry.isDirectory() ? filesUnder(file, accept) : accept(entry.name) ? [file] : [];
    })
    .sort();
}

function hashOf(files, ...facts) {
  const hash = createHash('sha256');
  for (const fact of facts) hash.update(`${fact}\0`);
  for (const file of files) hash.update(`${path.relative(root, file)}\0`).update(readFileSync(file));
  return hash.digest('hex');
}

function isStamped(stampFile, value) {
  return existsSync(stampFile) && readFileSync(stampFile, 'utf8') === value;
}

function stamp(stampFile, value) {
  mkdirSync(path.dirname(stampFile), { recursive: true });
  writeFileSync(stampFile, value);
}

function checkPlatform() {
  if (process.platform !== 'linux') {
    throw new ScriptError(
      `sunstar runs on Linux only: it is built on io_uring. This is ${process.platform}.`,
    );
  }
  if (Number(process.versions.node.split('.')[0]) < 20) {
    throw new ScriptError(`Node.js 20 or newer is needed; this is ${process.version} (${process.execPath}).`);
  }
}

/** Installs the packages that the lockfile names, with the pnpm version that package.json pins. */
export async function install() {
  checkPlatform();
  const manifests = ['native', 'bench', ...['packages', 'examples'].flatMap((parent) => childrenOf(parent))]
    .map((directory) => path.join(root, directory, 'package.json'))
    .filter((file) => existsSync(file));
  const inputs = ['package.json', 'pnpm-workspace.yaml', 'pnpm-lock.yaml'].map((name) =>
    path.join(root, name),
  );
  const stampFile = path.join(root, 'node_modules/.sunstar-install');
  const value = hashOf([...inputs, ...manifests], manifest.packageManager, process.arch);
  if (isStamped(stampFile, value)) return;
  say(`installing packages with ${manifest.packageManager} …`);
  await runQuietly('package installation', 'npx', [
    '--yes',
    manifest.packageManager,
    'install',
    '--frozen-lockfile',
    '--prefer-offline',
    '--config.confirmModulesPurge=false',
  ]);
  stamp(stampFile, value);
}

function childrenOf(parent) {
  return readdirSync(path.join(root, parent)).map((name) => path.join(parent, name));
}

/** Compiles the Node-API addon against the headers of the running Node, when its sources or that Node changed. */
export async function buildAddon() {
  const native = path.join(root, 'native');
  const addon = path.join(native, 'build/Release/sunstar_native.node');
  const stampFile = path.join(native, 'build/.sunstar-addon');
  const sources = filesUnder(path.join(native, 'src'), (name) => /\.(cc|h)$/.test(name));
  const value = hashOf(
    [...sources, path.join(native, 'binding.gyp'), path.join(native, 'package.json')],
    process.versions.modules,
    process.arch,
  );
  if (existsSync(addon) && isStamped(stampFile, value)) return;

  const missing = ['g++', 'make', 'python3'].filter((program) => !isOnPath(program));
  if (missing.length > 0) {
    throw new ScriptError(
      `building the addon needs ${missing.join(', ')}, not found on PATH. Install with: apt-get install -y ${missing.join(' ')}`,
    );
  }
  say(`building the addon for Node ${process.version} …`);
  const headers = hasHeaders ? [`--nodedir=${nodePrefix}`] : [];
  const gyp = tool('node-gyp');
  await runQuietly('building the addon', process.execPath, [
    gyp,
    'configure',
    'build',
    '-C',
    native,
    '-j',
    'max',
    ...headers,
  ]);
  stamp(stampFile, value);
}

/** Compiles what changed of the TypeScript. */
export async function buildTypeScript() {
  const code = await run(process.execPath, [tool('typescript', 'tsc'), '-b', root]);
  if (code !== 0) throw new ScriptError('TypeScript reported the errors above.');
}

/** Makes a clone runnable. Quick when nothing changed. */
export async function setup() {
  await install();
  await buildAddon();
  await buildTypeScript();
}
