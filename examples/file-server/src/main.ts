// The program: `sunstar-files [options] [directory]`.
import { realpath, stat } from 'node:fs/promises';
import { availableParallelism } from 'node:os';
import { parseSize, Runtime, SunstarError } from '@sunstar/runtime';
import { Command, InvalidArgumentError } from 'commander';
import type { ShardData } from './shard.js';

function whole(min: number, max: number): (text: string) => number {
  return (text) => {
    const value = Number(text);
    if (/^\d+$/.test(text) && value >= min && value <= max) return value;
    throw new InvalidArgumentError(`It must be a whole number from ${min} to ${max}.`);
  };
}

interface Options {
  readonly host: string;
  readonly port: number;
  readonly shards: number;
  readonly memory: string;
  readonly maxConnections: number;
  readonly maxOpenFiles: number;
  readonly revalidate: number;
  readonly cache: string;
}

const program = new Command('sunstar-files')
  .description('Serves the files of a directory over HTTP/1.1, on one shard for each processor.')
  .argument('[directory]', 'what is published', '.')
  .option('--host <address>', 'numeric address to listen on', '127.0.0.1')
  .option('-p, --port <number>', 'TCP port', whole(1, 65_535), 8080)
  .option('--shards <number>', 'how many', whole(1, 1024), availableParallelism())
  .option('--memory <size>', 'memory of all shards together', '512MiB')
  .option('--max-connections <number>', 'of each shard', whole(1, 1_000_000), 10_000)
  .option('--max-open-files <number>', 'of each shard', whole(1, 100_000), 512)
  .option(
    '--revalidate <milliseconds>',
    'how long a file is not looked at again',
    whole(0, 86_400_000),
    1_000,
  )
  .option('--cache <size>', 'memory of all shards together for files that were asked for', '256MiB')
  .parse();

async function main(): Promise<void> {
  const options = program.opts<Options>();
  const [directory] = program.processedArgs as [string];
  if (!(await stat(directory)).isDirectory()) {
    throw new SunstarError(
      'SUNSTAR_ENOTDIR',
      `${directory} is no directory. Name the one that is to be published.`,
    );
  }
  const data: ShardData = {
    root: await realpath(directory),
    host: options.host,
    port: options.port,
    maxConnections: options.maxConnections,
    maxOpenFiles: options.maxOpenFiles,
    revalidateMs: options.revalidate,
    cacheBytes: Math.floor(parseSize(options.cache) / options.shards),
  };
  const runtime = await Runtime.start({
    entry: new URL('./shard.js', import.meta.url),
    shards: options.shards,
    memory: options.memory,
    data,
  });
  process.stdout.write(`sunstar-files serves ${data.root} on http://${options.host}:${options.port}/\n`);
  await runtime.untilSignal();
}

try {
  await main();
} catch (error) {
  process.stderr.write(`sunstar-files: ${error instanceof Error ? error.message : String(error)}\n`);
  process.exitCode = 1;
}
