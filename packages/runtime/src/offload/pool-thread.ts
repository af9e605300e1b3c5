// What a thread of the offload pool runs. Nothing here may throw while the module loads: piscina would not say why.
import { setPriority } from 'node:os';
import { parentPort, threadId, workerData } from 'node:worker_threads';
import { native } from '@sunstar/native';
import { SunstarError } from '../errors.js';
import { type Arena, openArena } from '../memory/index.js';
import { DEFAULT_MESSAGE_LIMITS } from '../smp/codec/limits.js';
import { toWire, type WireError } from '../worker-protocol.js';
import { ArgumentLender } from './argument-lender.js';
import { HeldResults } from './held-results.js';
import type { LateReturn, OffloadAnswer, OffloadTask, PoolThreadData } from './protocol.js';
import { setThreadMemory, threadMemory } from './thread-memory.js';
import { isFar, readValues } from './wire.js';

/** Memory of the shards that have sent something, by shard number. */
const arenas = new Map<number, { readonly shared: SharedArrayBuffer; readonly arena: Arena }>();

const data = workerData as PoolThreadData;
const limits = { ...DEFAULT_MESSAGE_LIMITS, maxMessageBytes: data.maxMessageBytes };
const results = new HeldResults(limits);
const NOTHING: { readonly image: Int32Array; readonly place: number } = {
  image: new Int32Array(16),
  place: -1,
};
let isSetUp = false;

/** Where the thread runs and how urgently. */
function setUp(): void {
  if (isSetUp) return;
  isSetUp = true;
  setThreadMemory(data.memoryBytes);
  if (data.cpus !== undefined) native.pinThread(data.cpus);
  try {
    // On Linux the priority of "process 0" is that of the calling thread.
    if (data.nice !== 0) setPriority(0, data.nice);
  } catch {
    // Raising it needs a privilege; the call is more important than its priority.
  }
}

/** The shard's memory. A number that was used before may be that of a shard that was started again. */
function arenaOf({ shardId, arena: shared }: OffloadTask): Arena {
  const known = arenas.get(shardId);
  if (known !== undefined && native.addressOf(bytesOf(known.shared)) === native.addressOf(bytesOf(shared)))
    return known.arena;
  const arena = openArena(shared);
  arenas.set(shardId, { shared, arena });
  return arena;
}

function bytesOf(shared: SharedArrayBuffer): Uint8Array {
  return new Uint8Array(shared, 0, 8);
}

async function functionOf(module: string, name: string): Promise<(...args: unknown[]) => unknown> {
  let exports: Record<string, unknown>;
  try {
    exports = (await import(module)) as Record<string, unknown>;
  } catch (cause) {
    throw new SunstarError(
      'SUNSTAR_OFFLOAD_MODULE',
      `The module ${module} could not be loaded in a thread of the offload pool; \`cause\` says why. ` +
        'Give a URL: `new URL("./work.js", import.meta.url)`.',
      { cause },
    );
  }
  const value = Object.hasOwn(exports, name) ? exports[name] : undefined;
  if (typeof value === 'function') return value as (...args: unknown[]) => unknown;
  throw new SunstarError('SUNSTAR_OFFLOAD_FUNCTION', `The module ${module} exports no function ${name}.`);
}

/** Runs one call; for piscina. */
export async function runTask(task: OffloadTask): Promise<OffloadAnswer | undefined> {
  // The pool must know which thread reads the arguments, or that none does.
  if (Atomics.compareExchange(data.claims, task.place, task.ticket, -threadId) !== task.ticket)
    return undefined;
  setUp();
  const arena = arenaOf(task);
  const lender = new ArgumentLender(task.shardId, arena, threadMemory(), (tokens) => {
    const message: LateReturn = { threadId, shardId: task.shardId, tokens };
    parentPort?.postMessage(message);
  });
  let failed = false;
  let value: unknown;
  try {
    const run = await functionOf(task.module, task.name);
    const { values, moved } = readValues(task.image, task.count, arena, lender);
    lender.arrived(moved);
    value = await run(...values);
  } catch (error) {
    failed = true;
    value = error;
  }
  let result = NOTHING;
  let unwritten: WireError | undefined;
  try {
    result = results.write(value, failed ? 'error' : 'result');
  } catch (refusal) {
    failed = true;
    try {
      result = results.write(refusal, 'error');
    } catch {
      unwritten = toWire(refusal);
    }
  }
  // After the result: it may be an argument, or a part of one.
  const kept = lender.endCall();
  const { image, place } = result;
  const needsMemory = isFar(image) || place >= 0;
  return {
    type: 'answer',
    failed,
    threadId,
    image,
    arena: needsMemory ? (threadMemory().arena.shared as SharedArrayBuffer) : undefined,
    held: results.counts,
    place,
    unwritten,
    kept,
  };
}
