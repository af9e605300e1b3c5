import { setTimeout as delay } from 'node:timers/promises';
import { SunstarError } from '../errors.js';
import { InspectClient, inspectTargets } from '../observe/inspect-client.js';
import { MetricSnapshot, overview } from '../observe/overview.js';
import { overviewTable } from '../observe/overview-table.js';

const CLEAR = '\x1b[H\x1b[J';
const HIDE_CURSOR = '\x1b[?25l';
const SHOW_CURSOR = '\x1b[?25h';

/** Options of {@link top}. */
export interface TopOptions {
  readonly pid: number | undefined;
  readonly once: boolean;
  readonly json: boolean;
  readonly intervalMs: number;
}

/** Attaches to a process and prints an overview of each interval, until it ends or the user does. */
export async function top({ pid, once, json, intervalMs }: TopOptions): Promise<void> {
  const client = await InspectClient.connect(await choose(pid));
  const isLive = !once && !json && process.stdout.isTTY;
  if (isLive) {
    process.stdout.write(HIDE_CURSOR);
    process.on('exit', () => process.stdout.write(SHOW_CURSOR));
    process.on('SIGINT', () => process.exit(0));
    process.on('SIGTERM', () => process.exit(0));
  }
  try {
    let before = await client.ask();
    do {
      await delay(intervalMs);
      const now = await client.ask();
      const shown = overview(new MetricSnapshot(now.metrics), new MetricSnapshot(before.metrics));
      if (json) {
        process.stdout.write(`${JSON.stringify({ pid: now.pid, entry: now.entry, ...shown })}\n`);
      } else {
        const head = `sunstar top: process ${now.pid}, ${now.entry}`;
        process.stdout.write(`${isLive ? CLEAR : ''}${head}\n${overviewTable(shown)}\n`);
      }
      before = now;
    } while (!once);
  } finally {
    client.close();
  }
}

async function choose(pid: number | undefined): Promise<string> {
  const targets = await inspectTargets();
  const fitting = pid === undefined ? targets : targets.filter((target) => target.pid === pid);
  if (fitting.length === 1) return fitting[0].path;
  const pids = targets.map((target) => target.pid).join(', ');
  if (pid !== undefined && fitting.length > 1) return fitting[0].path;
  throw new SunstarError(
    'SUNSTAR_NO_TARGET',
    targets.length === 0
      ? 'No process of this user can be inspected. Runtime.start() must run with `inspect` not false, and both must have the same XDG_RUNTIME_DIR or TMPDIR.'
      : `Say which process: ${pids}.`,
  );
}
