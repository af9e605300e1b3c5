import { OutOfMemoryError, SunstarError } from '../errors.js';
import { type Arena, openArena, type ShardMemory } from '../memory/index.js';
import { inThisGroup } from '../scheduling/index.js';
import type { MessageLimits } from '../smp/codec/limits.js';
import type { Lender } from '../smp/codec/transfer.js';
import { fromWire } from '../worker-protocol.js';
import { type OffloadEnd, type OffloadStats, OffloadStatsTable } from './offload-stats.js';
import type { OffloadAnswer, OffloadCommand, OffloadOutcome, OffloadReport } from './protocol.js';
import { cannotFollow, isFar, MessageLoans, readValues, writeValues } from './wire.js';

/** Options of one offloaded call. */
export interface OffloadOptions {
  /** Gives the call up: one that waits is dropped, the thread of one that runs is ended. */
  readonly signal?: AbortSignal;
  /** The same after so long, the wait for a thread included; 1 to 2^31 − 1. @default never */
  readonly timeoutMs?: number;
  /** The limit that it counts for. @default the scheduling group's name if there is such a limit, else 'default' */
  readonly limit?: string;
}

/** A call that was sent. */
interface Call {
  readonly what: string;
  readonly loans: MessageLoans;
  readonly block: number;
  /** The stack of the caller. */
  readonly callers: string;
  readonly stats: OffloadStats;
  isGivenUp: boolean;
  resolve(value: unknown): void;
  reject(error: unknown): void;
  /** Forgets timer and signal. */
  release(): void;
}

/** What a {@link OffloadClient} is made of. */
export interface OffloadClientParts {
  readonly shardId: number;
  readonly memory: ShardMemory;
  readonly limits: MessageLimits;
  /** What is counted. @default for nobody */
  readonly stats?: OffloadStatsTable;
  /** The scheduling group that calls. */
  groupName?(): string;
  /** The limit for a call that names none. */
  defaultLimit(): string;
  post(command: OffloadCommand): void;
}

/** Frames of these files say nothing to the reader of a stack. */
const OWN_FRAMES =
  /\/offload\/(?:client|offload|pool-thread)\.[jt]s|node:internal|\/piscina\/|new Promise \(/;

/** One shard's side of the offload pool: sends calls, keeps what they read alive, settles their promises. */
export class OffloadClient {
  readonly #parts: OffloadClientParts;
  readonly #calls = new Map<number, Call>();
  /** Arguments that functions have kept after their call, by thread. */
  readonly #kept = new Map<number, Set<MessageLoans>>();
  /** Memory of the pool's threads. */
  readonly #arenas = new Map<number, Arena>();
  readonly #stats: OffloadStatsTable;
  #lastCall = 0;

  constructor(parts: OffloadClientParts) {
    this.#parts = parts;
    this.#stats = parts.stats ?? new OffloadStatsTable();
  }

  /** Calls whose arguments may still be read. */
  get outstanding(): number {
    return this.#calls.size;
  }

  /** Blocks and values that threads of the pool may still read. */
  get lent(): number {
    let count = 0;
    for (const { loans, block } of this.#calls.values()) count += loans.count + (block >= 0 ? 1 : 0);
    for (const set of this.#kept.values()) for (const loans of set) count += loans.count;
    return count;
  }

  /** Sends a call; settles in the scheduling group that sends it. */
  call(
    module: string,
    name: string,
    args: readonly unknown[],
    options: OffloadOptions = {},
  ): Promise<unknown> {
    return inThisGroup(this.#send(module, name, args, options));
  }

  #send(module: string, name: string, args: readonly unknown[], options: OffloadOptions): Promise<unknown> {
    return new Promise((resolve, reject) => {
      const { signal, timeoutMs, limit = this.#parts.defaultLimit() } = options;
      const what = `${name} of ${module}`;
      if (timeoutMs !== undefined && !(timeoutMs >= 1 && timeoutMs <= 2 ** 31 - 1)) {
        throw new SunstarError(
          'SUNSTAR_INVALID_OPTION',
          `\`timeoutMs\` is ${timeoutMs}; give 1 to 2147483647.`,
        );
      }
      if (signal?.aborted) throw aborted(what, signal.reason);
      const { memory, limits } = this.#parts;
      const loans = new MessageLoans();
      const { image, block } = writeValues(memory, limits, args, 'arguments', loans);
      const callId = ++this.#lastCall;
      const stats = this.#stats.of(this.#parts.groupName?.() ?? 'default', limit);
      stats.outstanding++;
      const giveUp = (error: SunstarError, end: OffloadEnd): void => {
        call.isGivenUp = true;
        call.release();
        stats.count(end);
        reject(error);
        this.#parts.post({ type: 'offloadAbort', callId });
      };
      const onAbort = (): void => giveUp(aborted(what, signal?.reason), 'aborted');
      signal?.addEventListener('abort', onAbort, { once: true });
      const timer =
        timeoutMs === undefined
          ? undefined
          : setTimeout(() => giveUp(timedOut(what, timeoutMs), 'timedOut'), timeoutMs);
      const release = (): void => {
        signal?.removeEventListener('abort', onAbort);
        clearTimeout(timer);
      };
      const call = {
        what,
        loans,
        block,
        callers: callers(),
        stats,
        isGivenUp: false,
        resolve,
        reject,
        release,
      };
      this.#calls.set(callId, call);
      const request = { callId, module, name, limit, image, count: args.length };
      this.#parts.post({ type: 'offload', request });
    });
  }

  /** Takes a message of the pool. */
  receive(report: OffloadReport): void {
    switch (report.type) {
      case 'offloaded':
        this.#ended(report);
        break;
      case 'offloadReturned': {
        const kept = this.#kept.get(report.threadId);
        for (const loans of kept ?? []) {
          loans.takeBackOf(report.tokens);
          if (loans.count === 0) kept?.delete(loans);
        }
        break;
      }
      case 'offloadThreadEnded':
        for (const loans of this.#kept.get(report.threadId) ?? []) loans.takeAllBack();
        this.#kept.delete(report.threadId);
        this.#arenas.delete(report.threadId);
    }
  }

  #ended({ callId, outcome, waitedMs, ranMs }: OffloadReport & { readonly type: 'offloaded' }): void {
    const call = this.#calls.get(callId);
    if (call === undefined) return;
    this.#calls.delete(callId);
    call.release();
    const { loans, block, stats } = call;
    if (outcome.type !== 'failed' || !Number.isNaN(ranMs)) stats.wait.record(waitedMs);
    if (!Number.isNaN(ranMs)) stats.run.record(ranMs);
    if (block >= 0) this.#parts.memory.free(block);
    if (outcome.type === 'answer' && outcome.kept.length > 0) this.#keep(outcome, loans);
    else loans.takeAllBack();
    if (call.isGivenUp) {
      if (outcome.type === 'answer' && outcome.place >= 0) Atomics.store(outcome.held, outcome.place, 0);
      return;
    }
    stats.count(endOf(outcome));
    if (outcome.type === 'answer') this.#answered(call, outcome);
    else if (outcome.type === 'failed') {
      const cause = outcome.cause === undefined ? undefined : fromWire(outcome.cause);
      this.#fail(call, new SunstarError(outcome.code, outcome.message, { cause }));
    } else
      this.#fail(
        call,
        new SunstarError('SUNSTAR_OFFLOAD_STOPPED', `${call.what} was given up: the runtime stops.`),
      );
  }

  #answered(call: Call, answer: OffloadAnswer): void {
    if (answer.unwritten !== undefined) {
      const cause = fromWire(answer.unwritten);
      this.#fail(
        call,
        new OutOfMemoryError(0, 0, `The result of ${call.what} did not fit: ${cause.message}`),
      );
      return;
    }
    let value: unknown;
    try {
      value = this.#read(answer);
    } catch (error) {
      this.#fail(call, error);
      return;
    }
    if (answer.failed) this.#fail(call, value);
    else call.resolve(value);
  }

  #read(answer: OffloadAnswer): unknown {
    const { held, place, image, threadId } = answer;
    let arena = this.#arenas.get(threadId);
    if (arena === undefined && answer.arena !== undefined) {
      arena = openArena(answer.arena);
      this.#arenas.set(threadId, arena);
    }
    const { memory } = this.#parts;
    const lender: Lender = {
      // Threads of the pool have no number of a shard.
      shardId: -1,
      arena: arena ?? memory.arena,
      memory,
      giveBack: () => Atomics.sub(held, place, 1),
      hold: cannotFollow,
      tellLender: cannotFollow,
    };
    try {
      return readValues(image, 1, lender.arena, lender).values[0];
    } finally {
      // The block with the result, which was copied; what moved counts by itself.
      if (isFar(image)) Atomics.sub(held, place, 1);
    }
  }

  #keep({ threadId, kept }: OffloadAnswer, loans: MessageLoans): void {
    loans.takeBackExcept(kept);
    const others = this.#kept.get(threadId);
    if (others === undefined) this.#kept.set(threadId, new Set([loans]));
    else others.add(loans);
  }

  #fail(call: Call, thrown: unknown): void {
    if (thrown instanceof Error) {
      const remote = withoutOwnFrames(thrown.stack ?? `${thrown.name}: ${thrown.message}`);
      Object.defineProperty(thrown, 'stack', {
        value: [remote, '    at the offload pool', call.callers].join('\n'),
        writable: true,
        configurable: true,
        enumerable: false,
      });
    }
    call.reject(thrown);
  }
}

function endOf(outcome: OffloadOutcome): OffloadEnd {
  if (outcome.type === 'answer') return outcome.failed ? 'threw' : 'returned';
  return outcome.type === 'failed' && outcome.code === 'SUNSTAR_OFFLOAD_OVERLOADED' ? 'refused' : 'failed';
}

function callers(): string {
  const here: { stack?: string } = {};
  Error.captureStackTrace(here, callers);
  return withoutOwnFrames((here.stack ?? '').split('\n').slice(1).join('\n'));
}

function withoutOwnFrames(stack: string): string {
  return stack
    .split('\n')
    .filter((line) => !(/^\s+at /.test(line) && OWN_FRAMES.test(line)))
    .join('\n');
}

function aborted(what: string, reason: unknown): SunstarError {
  return new SunstarError('SUNSTAR_OFFLOAD_ABORTED', `${what} was given up: its signal was aborted.`, {
    cause: reason,
  });
}

function timedOut(what: string, timeoutMs: number): SunstarError {
  return new SunstarError(
    'SUNSTAR_OFFLOAD_TIMEOUT',
    `${what} was given up: it had not ended after ${timeoutMs} ms, the wait for a thread included.`,
  );
}
