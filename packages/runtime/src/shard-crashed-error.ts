import { SunstarError } from './errors.js';
import { registerErrorClass } from './smp/index.js';
import type { RejectedWhere } from './worker-protocol.js';

/** A shard ended although nobody asked it to; `cause` is what it threw. */
export class ShardCrashedError extends SunstarError {
  readonly shardId: number;
  /** The scheduling group in which nobody handled the rejection of a promise, if that was it. */
  readonly group: string | undefined;
  /** The service whose method is on the stack of that rejection, if one is. */
  readonly service: string | undefined;

  constructor(shardId: number, cause: unknown, where?: RejectedWhere) {
    const reason = cause instanceof Error ? `${cause.name}: ${cause.message}` : String(cause);
    const service = where?.service === undefined ? '' : `, service "${where.service}"`;
    const place =
      where === undefined
        ? ''
        : ` (a rejection that nobody handles, in scheduling group "${where.group}"${service})`;
    super('SUNSTAR_SHARD_CRASHED', `Shard ${shardId} crashed: ${reason}${place}`, { cause });
    this.shardId = shardId;
    this.group = where?.group;
    this.service = where?.service;
  }
}

registerErrorClass(ShardCrashedError);
