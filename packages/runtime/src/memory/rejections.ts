import { SunstarError } from '../errors.js';
import type { Account } from './account.js';
import type { MemoryDebug } from './memory-debug.js';

/** What is wrong with an offset that is no block's. */
export function invalidOffset(offset: number, debug: MemoryDebug | null): SunstarError {
  return new SunstarError(
    'SUNSTAR_INVALID_OFFSET',
    `No live block starts at offset ${offset}: it was freed, or it is not what an allocation returned.` +
      (debug?.history(offset) ?? ''),
  );
}

/**
 * Why a block cannot be freed here.
 *
 * @param lent - Another shard holds it.
 * @param owner - Whose block it is; null when no live block starts there.
 */
export function invalidFree(
  offset: number,
  lent: boolean,
  owner: Account | null,
  debug: MemoryDebug | null,
): SunstarError {
  const why = lent
    ? `The block at offset ${offset} is with another shard, which frees it.`
    : owner !== null
      ? `The block at offset ${offset} belongs to ${owner.isGroup ? `the group '${owner.name}'` : 'no group'}: ` +
        'free it there, or with the free() of the shard’s memory.'
      : `No live block starts at offset ${offset}: it was freed already, or it is not what an allocation of this shard ` +
        `returned.${debug?.history(offset) ?? ' SUNSTAR_DEBUG=1 shows who freed it.'}`;
  return new SunstarError('SUNSTAR_INVALID_FREE', why);
}
