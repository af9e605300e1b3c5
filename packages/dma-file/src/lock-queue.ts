import { ConditionVariable, type WaitOptions } from '@sunstar/runtime';

/** Waits for locks of one file at the same time. */
const MAX_WAITERS = 1024;
/** How often those who wait look, because nobody tells when another process or shard gives a lock up. */
const MIN_POLL_MS = 1;
const MAX_POLL_MS = 50;

/** A lock that somebody wants. */
export interface LockRequest {
  /** Whether both could not have theirs at the same time. */
  excludes(other: LockRequest): boolean;
  /** Takes the lock if it is free; throws when it never will be. */
  take(): boolean;
}

/** The files that somebody on this thread waits for. */
const queues = new Map<string, LockQueue>();

/**
 * Those of this shard who wait for locks of one file, in order: nobody gets one before somebody who came earlier and
 * whom it excludes. When a lock is given up on this shard the next one has it at once; for those of other shards and
 * processes the queue looks again, every 1 to 50 ms. The kernel's own wait would block the thread.
 */
export class LockQueue {
  readonly #key: string;
  readonly #waiting: LockRequest[] = [];
  readonly #changed: ConditionVariable = new ConditionVariable({
    name: 'file-lock',
    maxWaiters: MAX_WAITERS,
  });
  #timer: NodeJS.Timeout | null = null;
  #delayMs = MIN_POLL_MS;

  private constructor(key: string) {
    this.#key = key;
  }

  /** Takes a lock if it is free and nobody waits whom it excludes. @param key - Names the file. */
  static tryTake(key: string, request: LockRequest): boolean {
    const queue = queues.get(key);
    return (queue === undefined || !queue.#isBehind(request)) && request.take();
  }

  /** Waits for a lock. @throws SunstarError SUNSTAR_TIMEOUT, SUNSTAR_ABORTED, SUNSTAR_TOO_MANY_WAITERS */
  static async take(key: string, request: LockRequest, options: WaitOptions | undefined): Promise<void> {
    let queue = queues.get(key);
    if (queue === undefined) {
      queue = new LockQueue(key);
      queues.set(key, queue);
    }
    await queue.#take(request, options);
  }

  /** Something was given up: whoever waits looks again. */
  static released(key: string): void {
    queues.get(key)?.changed();
  }

  changed(): void {
    this.#changed.broadcast();
  }

  async #take(request: LockRequest, options: WaitOptions | undefined): Promise<void> {
    this.#waiting.push(request);
    this.#delayMs = MIN_POLL_MS;
    try {
      const taken = this.#changed.waitUntil(() => !this.#isBehind(request) && request.take(), options);
      this.#look();
      await taken;
    } finally {
      this.#waiting.splice(this.#waiting.indexOf(request), 1);
      if (this.#waiting.length > 0) this.#changed.broadcast();
      else this.#end();
    }
  }

  #isBehind(request: LockRequest): boolean {
    for (const earlier of this.#waiting) {
      if (earlier === request) return false;
      if (earlier.excludes(request)) return true;
    }
    return false;
  }

  #look(): void {
    this.#timer ??= setTimeout(() => {
      this.#timer = null;
      this.#delayMs = Math.min(this.#delayMs * 2, MAX_POLL_MS);
      this.#changed.broadcast();
      if (this.#waiting.length > 0) this.#look();
    }, this.#delayMs);
  }

  #end(): void {
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = null;
    queues.delete(this.#key);
  }
}
