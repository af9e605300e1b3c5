import os from 'node:os';
import Table from 'cli-table3';
import type { Row } from './measure.js';

/** What one benchmark found: the JSON form that `--json` writes. */
export interface Report {
  readonly name: string;
  readonly rows: readonly Row[];
}

/** Three significant digits, or whole numbers with thousands separators. */
export function formatNumber(value: number): string {
  if (Math.abs(value) >= 100) return Math.round(value).toLocaleString('en-US');
  return value.toPrecision(3);
}

/** The machine and Node version that figures belong to, in one line. */
export function describeMachine(): string {
  const cpus = os.cpus();
  const model = cpus[0]?.model.trim() ?? process.arch;
  return `Node ${process.version}, Linux ${os.release()}, ${cpus.length} × ${model}`;
}

/** A table for people: medians, and the ratio with its range over the rounds. */
export function formatTable({ name, rows }: Report): string {
  const table = new Table({
    head: ['case', 'peer', 'unit', 'ours', 'theirs', 'ratio', 'ratioMin', 'ratioMax'],
    colAligns: ['left', 'left', 'left', 'right', 'right', 'right', 'right', 'right'],
    style: { head: [], border: [] },
  });
  for (const row of rows) {
    const better = row.higherIsBetter ? '↑' : '↓';
    table.push([
      row.case,
      row.peer,
      `${row.unit} ${better}`,
      ...[row.ours, row.theirs].map(formatNumber),
      ...[row.ratio, row.ratioMin, row.ratioMax].map((ratio) => `${ratio.toFixed(2)}×`),
    ]);
  }
  const rounds = rows[0]?.rounds ?? 0;
  return `${name}: medians of ${rounds} interleaved rounds; a ratio above 1 means that ours is better\n${table.toString()}`;
}

/** One report alone, several as an array. */
export function toJson(reports: readonly Report[]): string {
  return `${JSON.stringify(reports.length === 1 ? reports[0] : reports, undefined, 2)}\n`;
}
