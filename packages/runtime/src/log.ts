import { type Logger, pino } from 'pino';
import { LogLimit } from './log-limit.js';

/** How a shard writes its log: a level, or a pino logger of the application's own. */
export type LogOption = 'trace' | 'debug' | 'info' | 'warn' | 'error' | 'fatal' | 'silent' | Logger;

/** How often the same message is written as a warning or an error in a minute. */
const REPEATS_PER_MINUTE = 100;
const WARN = 40;
const FATAL = 60;

/**
 * A logger whose lines name the shard; none for the main thread. Given a level, it writes to the standard error output
 * at once, and writes the same warning or error at most 100 times a minute: a line with the number of
 * those that were left out follows. A logger of the application's own is taken as it is.
 */
export function shardLogger(option: LogOption, shardId?: number): Logger {
  const bindings = shardId === undefined ? {} : { shard: shardId };
  if (typeof option !== 'string') return option.child(bindings);
  const limit: LogLimit = new LogLimit(REPEATS_PER_MINUTE, (message, suppressed) =>
    logger.warn({ suppressed, message }, 'a message was repeated too often and left out'),
  );
  const logger: Logger = pino(
    {
      level: option,
      base: bindings,
      hooks: {
        logMethod(args, method, level) {
          const message = typeof args[0] === 'string' ? args[0] : args[1];
          const limited = level >= WARN && level < FATAL && typeof message === 'string';
          if (!limited || limit.admit(message)) method.apply(this, args);
        },
      },
    },
    pino.destination({ dest: 2, sync: true }),
  );
  return logger;
}

export type { Logger };
