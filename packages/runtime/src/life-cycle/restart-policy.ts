import { SunstarError } from '../errors.js';

/** How often a crashed shard is started again, and when. */
export interface ReloadOptions {
  /** Restarts of one shard within `windowMs`; one more crash stops the runtime. 1 to 1,000,000. @default 5 */
  readonly maxRestarts?: number;
  /** 1 to 2^31 − 1 milliseconds. @default 60000 */
  readonly windowMs?: number;
  /** Wait before the first restart; each further one within the window waits twice as long. 0 to 2^31 − 1. @default 100 */
  readonly backoffMs?: number;
  /** The longest wait. @default 10000 */
  readonly maxBackoffMs?: number;
}

/** @throws SunstarError SUNSTAR_INVALID_OPTION */
export function fullReloadOptions(options: ReloadOptions): Required<ReloadOptions> {
  const check = (name: keyof ReloadOptions, value: number, least: number, most: number): number => {
    if (Number.isInteger(value) && value >= least && value <= most) return value;
    throw new SunstarError(
      'SUNSTAR_INVALID_OPTION',
      `\`reload.${name}\` is ${value}; give a whole number from ${least} to ${most}.`,
    );
  };
  const backoffMs = check('backoffMs', options.backoffMs ?? 100, 0, 2 ** 31 - 1);
  return {
    maxRestarts: check('maxRestarts', options.maxRestarts ?? 5, 1, 1_000_000),
    windowMs: check('windowMs', options.windowMs ?? 60_000, 1, 2 ** 31 - 1),
    backoffMs,
    maxBackoffMs: check(
      'maxBackoffMs',
      options.maxBackoffMs ?? Math.max(10_000, backoffMs),
      backoffMs,
      2 ** 31 - 1,
    ),
  };
}

/** Counts the crashes of one shard: whether it is started again, and after what time. */
export class RestartPolicy {
  readonly #options: Required<ReloadOptions>;
  /** When it was started again within the window, rising. */
  readonly #restartsMs: number[] = [];

  constructor(options: Required<ReloadOptions>) {
    this.#options = options;
  }

  /**
   * The shard has crashed.
   *
   * @param nowMs - On any clock that does not go back.
   * @returns How long to wait before it is started again; undefined when it has crashed too often.
   */
  crashed(nowMs: number): number | undefined {
    const { maxRestarts, windowMs, backoffMs, maxBackoffMs } = this.#options;
    while (this.#restartsMs.length > 0 && this.#restartsMs[0] <= nowMs - windowMs) this.#restartsMs.shift();
    const count = this.#restartsMs.length;
    if (count >= maxRestarts) return undefined;
    this.#restartsMs.push(nowMs);
    return Math.min(maxBackoffMs, backoffMs * 2 ** Math.min(count, 30));
  }

  invariants(): void {
    const sorted = this.#restartsMs.every((ms, i) => i === 0 || ms >= this.#restartsMs[i - 1]);
    if (!sorted || this.#restartsMs.length > this.#options.maxRestarts) {
      throw new SunstarError('SUNSTAR_BROKEN_INVARIANT', 'A restart policy lost count.');
    }
  }
}
