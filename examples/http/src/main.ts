// The program: `sunstar-hello [options]`.
import { availableParallelism } from 'node:os';
import { Runtime } from '@sunstar/runtime';
import { Command, InvalidArgumentError } from 'commander';
import type { HelloData } from './hello.js';

function whole(min: number, max: number): (text: string) => number {
  return (text) => {
    const value = Number(text);
    if (/^\d+$/.test(text) && value >= min && value <= max) return value;
    throw new InvalidArgumentError(`It must be a whole number from ${min} to ${max}.`);
  };
}

const program = new Command('sunstar-hello')
  .description('Says hello over HTTP/1.1, on one shard for each processor.')
  .option('--host <address>', 'numeric address to listen on', '127.0.0.1')
  .option('--port <number>', 'TCP port', whole(1, 65_535), 8080)
  .option('--shards <number>', 'how many', whole(1, 1024), availableParallelism())
  .option('--memory <size>', 'memory of all shards together', '256MiB')
  .parse();
const options = program.opts<HelloData & { shards: number; memory: string }>();
const data: HelloData = { host: options.host, port: options.port };

try {
  const runtime = await Runtime.start({
    entry: new URL('./hello.js', import.meta.url),
    shards: options.shards,
    memory: options.memory,
    data,
  });
  process.stdout.write(`sunstar-hello listens on http://${options.host}:${options.port}/\n`);
  await runtime.untilSignal();
} catch (error) {
  process.stderr.write(`sunstar-hello: ${error instanceof Error ? error.message : String(error)}\n`);
  process.exitCode = 1;
}
