import { type Logger, pino } from 'pino';

/** How a shard writes its log: a level, or a pino logger of the application's own. */
export type LogOption = 'trace' | 'debug' | 'info' | 'warn' | 'error' | 'fatal' | 'silent' | Logger;

/** A logger whose lines name the shard; levels write to the standard error output at once. */
export function shardLogger(option: LogOption, shardId: number): Logger {
  if (typeof option !== 'string') return option.child({ shard: shardId });
  return pino({ level: option, base: { shard: shardId } }, pino.destination({ dest: 2, sync: true }));
}

export type { Logger };
