import { SunstarError } from '../errors.js';
import { otherGroup, postTo } from './in-group.js';
import type { Link } from './link.js';
import type { Resolve } from './pending-calls.js';

const settled: Promise<void> = Promise.resolve();
const pass = (): void => {};

/** A promise that is rejected with whatever was thrown. */
export async function rejected(thrown: unknown): Promise<never> {
  throw thrown;
}

/**
 * Rejects the promise of a call with an error that is made two turns later, in a promise chain that ends in
 * that promise. Only there does the engine know who awaits it: so the error's stack names the callers, and
 * a call that succeeds pays nothing for it.
 *
 * @param groupId - The scheduling group that waits.
 */
export function rejectWith(resolve: Resolve, makeError: () => unknown, groupId = 0): void {
  const reject = (start: Promise<void>): void =>
    resolve(
      start.then(pass).then(() => {
        throw makeError();
      }),
    );
  const other = otherGroup(groupId);
  if (other < 0) reject(settled);
  else postTo(other, { complete: () => reject(settled) });
}

/**
 * Rejects a call with what it threw on another shard. To an error's stack the place of the call is added:
 *
 *     RangeError: by must not be 0
 *         at Counters.increment (file:///app/shard.js:12:11)
 *         at shard 1 (counters.increment)
 *         at async handle (file:///app/shard.js:31:19)
 */
export function rejectRemotely(
  resolve: Resolve,
  thrown: unknown,
  shardId: number,
  method: string,
  groupId: number,
): void {
  const makeError = (): unknown => {
    if (thrown instanceof Error) {
      const here: { stack?: string } = {};
      Error.captureStackTrace(here);
      // Without the heading and the two functions of this file; the engine's own frames tell nothing.
      const callers = (here.stack ?? '')
        .split('\n')
        .slice(3)
        .filter((line) => !line.includes('node:internal/'));
      const remote = thrown.stack ?? `${thrown.name}: ${thrown.message}`;
      Object.defineProperty(thrown, 'stack', {
        value: [remote, `    at shard ${shardId} (${method})`, ...callers].join('\n'),
        writable: true,
        configurable: true,
        enumerable: false,
      });
    }
    return thrown;
  };
  rejectWith(resolve, makeError, groupId);
}

/** The error of a call that was sent and will not be answered. */
export function unanswered(link: Link, method: string): SunstarError {
  return stopped(
    link,
    `${who(link)} before ${method}() was answered, which may have run or not. Repeat it only if that does no harm.`,
  );
}

/** The error of a call that is not sent because nobody would answer. */
export function notSent(link: Link, method: string): SunstarError {
  return stopped(link, `${who(link)}: ${method} was not sent. Ask \`cause\` why, or call another shard.`);
}

function who(link: Link): string {
  return link.closedHere ? 'This shard has ended its cross-shard calls' : `Shard ${link.peerId} has stopped`;
}

function stopped(link: Link, message: string): SunstarError {
  const { cause } = link;
  return new SunstarError('SUNSTAR_SHARD_STOPPED', message, cause === undefined ? undefined : { cause });
}

/** The error of a call that the bound on outstanding calls refuses. */
export function overloaded(shardId: number, method: string, limit: number): SunstarError {
  return new SunstarError(
    'SUNSTAR_SMP_OVERLOADED',
    `${limit} calls to shard ${shardId} wait for an answer; ${method}() was not sent. ` +
      'Await answers before you send more, or start the runtime with a larger `maxOutstanding`.',
  );
}
