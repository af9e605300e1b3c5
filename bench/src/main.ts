import { spawn } from 'node:child_process';
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import type { Benchmark } from './harness/benchmark.js';
import type { Row } from './harness/measure.js';
import { describeMachine, formatTable, type Report, toJson } from './harness/report.js';

const USAGE = `Usage: npm run bench -- NAME… [options]

Options:
  --json FILE     write the results as JSON: one document, or an array when several names are given
  --rounds N      rounds that count, 1 to 1000 (default: 5)
  --case TEXT     only cases whose name contains TEXT
  --help          this text`;

const here = path.dirname(fileURLToPath(import.meta.url));

/** Benchmarks by name: every module beside this one whose default export can be prepared. */
async function findBenchmarks(): Promise<Map<string, Benchmark>> {
  const benchmarks = new Map<string, Benchmark>();
  for (const file of (await readdir(here)).sort()) {
    if (!file.endsWith('.js') || file === 'main.js') continue;
    const module = (await import(`./${file}`)) as { default?: Partial<Benchmark> };
    if (module.default?.prepare === undefined) continue;
    benchmarks.set(path.basename(file, '.js'), module.default as Benchmark);
  }
  return benchmarks;
}

function list(benchmarks: ReadonlyMap<string, Benchmark>): void {
  console.log(`${USAGE}\n\nBenchmarks:`);
  for (const [name, { description }] of benchmarks) console.log(`  ${name.padEnd(14)} ${description}`);
}

async function measure(name: string, rounds: number, filter: string): Promise<Report> {
  const directory = await mkdtemp(path.join(tmpdir(), 'sunstar-bench-'));
  const resultFile = path.join(directory, 'rows.json');
  try {
    const child = spawn(
      process.execPath,
      [path.join(here, 'harness/child.js'), name, String(rounds), filter, resultFile],
      { stdio: 'inherit' },
    );
    const code = await new Promise<number | null>((resolve, reject) => {
      child.on('error', reject);
      child.on('exit', resolve);
    });
    if (code !== 0) throw new Error(`benchmark ${name} failed (exit code ${code})`);
    return { name, rows: JSON.parse(await readFile(resultFile, 'utf8')) as Row[] };
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
}

async function main(): Promise<number> {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      json: { type: 'string' },
      rounds: { type: 'string', default: '5' },
      case: { type: 'string', default: '' },
      help: { type: 'boolean', default: false },
    },
  });
  const benchmarks = await findBenchmarks();
  if (values.help || positionals.length === 0) {
    list(benchmarks);
    return 0;
  }
  const unknown = positionals.filter((name) => !benchmarks.has(name));
  if (unknown.length > 0) {
    console.error(
      `no benchmark named ${unknown.join(', ')}; there are: ${[...benchmarks.keys()].join(', ')}`,
    );
    return 2;
  }
  const rounds = Number(values.rounds);
  if (!Number.isInteger(rounds) || rounds < 1 || rounds > 1000) {
    console.error(`--rounds must be a whole number from 1 to 1000, not "${values.rounds}"`);
    return 2;
  }

  console.log(describeMachine());
  const reports: Report[] = [];
  let failures = 0;
  for (const name of positionals) {
    try {
      const report = await measure(name, rounds, values.case);
      reports.push(report);
      console.log(formatTable(report));
    } catch (error) {
      failures++;
      console.error(error instanceof Error ? error.message : error);
    }
  }
  if (values.json !== undefined && reports.length > 0) await writeFile(values.json, toJson(reports));
  return failures === 0 ? 0 : 1;
}

try {
  process.exitCode = await main();
} catch (error) {
  // parseArgs explains a wrong option in its message.
  console.error(error instanceof Error ? error.message : error);
  process.exitCode = 2;
}
