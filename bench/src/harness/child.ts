// Measures one benchmark in a process of its own. Arguments: name, rounds, case filter, result file.
import { writeFileSync } from 'node:fs';
import type { Benchmark } from './benchmark.js';
import { measureCase, type Row } from './measure.js';

const [name, rounds, filter, resultFile] = process.argv.slice(2);
const { default: benchmark } = (await import(new URL(`../${name}.js`, import.meta.url).href)) as {
  default: Benchmark;
};

const prepared = await benchmark.prepare();
const rows: Row[] = [];
try {
  for (const benchmarkCase of prepared.cases) {
    const names = benchmarkCase.metrics.map((metric) => metric.case).join(', ');
    if (!names.includes(filter)) continue;
    process.stderr.write(`${name}: measuring ${names} …\n`);
    rows.push(...(await measureCase(benchmarkCase, Number(rounds))));
  }
} finally {
  await prepared.teardown?.();
}
if (rows.length === 0) throw new Error(`no case of ${name} has "${filter}" in its name`);
writeFileSync(resultFile, JSON.stringify(rows));
