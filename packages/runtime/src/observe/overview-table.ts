import Table from 'cli-table3';
import { formatSize } from '../size.js';
import type { GroupOverview, Overview, ShardOverview } from './overview.js';

/** `12.3k`, `4.5M`: three digits are enough to read. */
function count(value: number): string {
  if (value < 1000) return value < 10 && !Number.isInteger(value) ? value.toFixed(1) : value.toFixed(0);
  const unit = value < 1e6 ? 'k' : value < 1e9 ? 'M' : 'G';
  const scaled = value / (unit === 'k' ? 1e3 : unit === 'M' ? 1e6 : 1e9);
  return `${scaled < 10 ? scaled.toFixed(2) : scaled.toFixed(1)}${unit}`;
}

function percent(part: number): string {
  return `${(part * 100).toFixed(1)} %`;
}

function size(bytes: number): string {
  return formatSize(Math.round(bytes));
}

type Column<T> = readonly [head: string, cell: (row: T) => string];

const SHARD_COLUMNS: readonly Column<ShardOverview>[] = [
  ['shard', (row) => String(row.shard)],
  ['busy', (row) => percent(row.utilisation)],
  ['ticks/s', (row) => count(row.ticksPerSecond)],
  ['ops/s', (row) => count(row.operationsPerSecond)],
  ['in flight', (row) => count(row.operationsInFlight)],
  ['calls out/s', (row) => count(row.callsSentPerSecond)],
  ['calls in/s', (row) => count(row.callsServedPerSecond)],
  ['waiting', (row) => count(row.callsOutstanding)],
  ['queued', (row) => count(row.queued)],
  ['memory', (row) => `${size(row.memoryUsedBytes)} of ${size(row.memoryTotalBytes)}`],
  ['disk/s', (row) => size(row.diskBytesPerSecond)],
  ['disk queue', (row) => count(row.diskQueued)],
  ['net/s', (row) => size(row.networkBytesPerSecond)],
  ['connections', (row) => count(row.connections)],
  ['stalls', (row) => count(row.stalls)],
];

const GROUP_COLUMNS: readonly Column<GroupOverview>[] = [
  ['shard', (row) => String(row.shard)],
  ['group', (row) => row.group],
  ['shares', (row) => String(row.shares)],
  ['CPU', (row) => percent(row.cpu)],
  ['turns/s', (row) => count(row.turnsPerSecond)],
  ['queued', (row) => count(row.queued)],
  ['disk/s', (row) => size(row.diskBytesPerSecond)],
  ['disk queue', (row) => count(row.diskQueued)],
];

function table<T>(columns: readonly Column<T>[], rows: readonly T[]): string {
  const result = new Table({
    head: columns.map(([head]) => head),
    colAligns: columns.map(([head]) => (head === 'group' ? 'left' : 'right')),
    style: { head: [], border: [], compact: true },
  });
  for (const row of rows) result.push(columns.map(([, cell]) => cell(row)));
  return result.toString();
}

/** Tables for people: the shards, then the scheduling groups if there is more than the default one. */
export function overviewTable({ shards, silent, groups }: Overview): string {
  const parts = [table(SHARD_COLUMNS, shards)];
  if (silent.length > 0) parts.push(`No answer from shard ${silent.join(', ')}: stalled, or ended.`);
  if (groups.some(({ group }) => group !== 'default')) parts.push(table(GROUP_COLUMNS, groups));
  return parts.join('\n');
}
