#!/usr/bin/env node
import { parseArgs } from 'node:util';
import { SunstarError } from '../errors.js';
import { top } from './top.js';

const USAGE = `Usage: sunstar top [options] [PID]

Shows the shards of a running process of this user, live: how busy they are, their queues, memory, disks and network,
and their scheduling groups. Without PID, the only such process.

  --once              print one interval and end
  --json              print JSON, one line for each interval
  --interval SECONDS  how long an interval is, 0.1 to 3600 (default 1)
  -h, --help          print this
`;

/** Runs the command line; resolves with the exit code. */
async function main(argv: readonly string[]): Promise<number> {
  const { values, positionals } = parseArgs({
    args: [...argv],
    allowPositionals: true,
    options: {
      once: { type: 'boolean', default: false },
      json: { type: 'boolean', default: false },
      interval: { type: 'string', default: '1' },
      help: { type: 'boolean', short: 'h', default: false },
    },
  });
  if (values.help) {
    process.stdout.write(USAGE);
    return 0;
  }
  const [command, pidText, ...rest] = positionals;
  const seconds = Number(values.interval);
  const pid = pidText === undefined ? undefined : Number(pidText);
  const isWrong =
    command !== 'top' || rest.length > 0 || !(seconds >= 0.1 && seconds <= 3600) || Number.isNaN(pid);
  if (isWrong) {
    process.stderr.write(USAGE);
    return 2;
  }
  await top({ pid, once: values.once, json: values.json, intervalMs: seconds * 1000 });
  return 0;
}

try {
  process.exitCode = await main(process.argv.slice(2));
} catch (error) {
  // A wrong option, or what sunstar can explain; anything else is a bug whose stack is needed.
  const isKnown =
    error instanceof SunstarError || (error as { code?: string }).code?.startsWith('ERR_PARSE_ARGS');
  process.stderr.write(`sunstar: ${isKnown ? (error as Error).message : (error as Error).stack}\n`);
  process.exitCode = 1;
}
