import { readDirectory } from '@sunstar/dma-file';
import type { Store } from '../store/index.js';
import { writeBase } from './base-writer.js';
import { type DirectoryPlan, shardDirectory } from './data-directory.js';
import { planFiles } from './file-names.js';
import type { ReplayProgress } from './log-reader.js';
import { FILE_KIND, FRAME_BYTES, HEADER_BYTES } from './record.js';
import { type RecoveryReport, recover, removeFiles } from './recovery.js';
import { type FsyncPolicy, type LogShard, ShardLog } from './shard-log.js';
import { StoreSink } from './store-sink.js';

export interface StorageOptions {
  readonly plan: DirectoryPlan;
  readonly fsync: FsyncPolicy;
  readonly repair: boolean;
  /** The log is compacted when it is larger than this and more than `compactionFactor` times the live data. */
  readonly compactionMinBytes: number;
  readonly compactionFactor: number;
}

const COMPACTION_CHECK_MS = 1000;
const COMPACTION_RETRY_MS = 60_000;
/** Short segments, one for each restart, are gathered into a base too. */
const SEGMENTS_MAX = 64;
/** A SET record without its key and value. */
const RECORD_BYTES = FRAME_BYTES + 9;
const EXPIRY_BYTES = 8;

/** What compaction is doing, and has done. */
export interface CompactionStats {
  readonly isRunning: boolean;
  readonly count: number;
  readonly lastDurationMs: number;
  readonly failures: number;
}

/** The durable side of one shard: replays its log at the start, keeps it, and compacts it. */
export class ShardStorage {
  readonly log: ShardLog;
  readonly recovery: RecoveryReport;
  readonly #shard: LogShard;
  readonly #store: Store;
  readonly #options: StorageOptions;
  readonly #directory: string;
  readonly #timer: NodeJS.Timeout;
  readonly #abort = new AbortController();
  #baseBytes: number;
  /** Segments of earlier runs. */
  #olderBytes: number;
  #segmentCount: number;
  #compaction: Promise<void> | null = null;
  #retryAtMs = 0;
  #count = 0;
  #failures = 0;
  #lastDurationMs = 0;

  private constructor(
    shard: LogShard,
    store: Store,
    options: StorageOptions,
    recovery: RecoveryReport,
    log: ShardLog,
  ) {
    this.#shard = shard;
    this.#store = store;
    this.#options = options;
    this.#directory = shardDirectory(options.plan.path, options.plan.epoch, shard.id);
    this.log = log;
    this.recovery = recovery;
    this.#baseBytes = recovery.baseBytes;
    this.#olderBytes = recovery.segmentBytes;
    this.#segmentCount = recovery.segmentCount + 1;
    this.#timer = setInterval(() => this.#check(), COMPACTION_CHECK_MS);
    store.journal = log.buffer;
  }

  /**
   * Brings the store back, from this epoch's log of the shard or, when the number of shards has changed, from all
   * logs of the previous epoch; in that case the new epoch must be committed before the shard takes writes.
   */
  static async open(
    shard: LogShard,
    store: Store,
    options: StorageOptions,
    progress: ReplayProgress,
  ): Promise<ShardStorage> {
    const { plan, fsync } = options;
    const directory = shardDirectory(plan.path, plan.epoch, shard.id);
    store.nowMs = Date.now();
    const recovery =
      plan.previous === undefined
        ? await recoverOwn(shard, store, options, progress)
        : await recoverAll(shard, store, options, progress);
    const log = await ShardLog.open(shard, store.entries, {
      directory,
      shardCount: plan.shards,
      epoch: plan.epoch,
      fsync,
      number: recovery.nextNumber,
    });
    return new ShardStorage(shard, store, options, recovery, log);
  }

  /** Bytes of the log on the disk, but for space that is allocated ahead. */
  get sizeBytes(): number {
    return this.#baseBytes + this.#olderBytes + this.log.sizeBytes;
  }

  /** Bytes that a base would have now. */
  get liveBytes(): number {
    const { payloadBytes, size, expiringCount } = this.#store;
    return HEADER_BYTES + payloadBytes + size * RECORD_BYTES + expiringCount * EXPIRY_BYTES;
  }

  get compaction(): CompactionStats {
    return {
      isRunning: this.#compaction !== null,
      count: this.#count,
      lastDurationMs: this.#lastDurationMs,
      failures: this.#failures,
    };
  }

  /** Replaces the log by what it leads to, while writes go on. One at a time: a second call joins the first. */
  compact(): Promise<void> {
    this.#compaction ??= this.#compact().finally(() => {
      this.#compaction = null;
    });
    return this.#compaction;
  }

  /** Makes everything durable and closes the log. */
  async close(): Promise<void> {
    clearInterval(this.#timer);
    this.#abort.abort();
    this.log.giveUpWaiting();
    await this.#compaction?.catch(() => {});
    await this.log.close();
  }

  #check(): void {
    const { compactionMinBytes, compactionFactor } = this.#options;
    if (this.#compaction !== null || this.log.failure !== null) return;
    if (this.#shard.reactor.nowMs < this.#retryAtMs) return;
    const { sizeBytes } = this;
    const isLarge = sizeBytes > compactionMinBytes && sizeBytes > compactionFactor * this.liveBytes;
    if (!isLarge && this.#segmentCount <= SEGMENTS_MAX) return;
    this.compact().catch((error: unknown) => {
      if (this.#abort.signal.aborted) return;
      this.#failures++;
      this.#retryAtMs = this.#shard.reactor.nowMs + COMPACTION_RETRY_MS;
      this.#shard.log.warn({ err: error }, 'the log was not compacted; it is tried again in a minute');
    });
  }

  async #compact(): Promise<void> {
    const startedAt = performance.now();
    const before = this.sizeBytes;
    const number = await this.log.rotate();
    this.#segmentCount++;
    this.#baseBytes = await writeBase({
      memory: this.#shard.memory,
      store: this.#store,
      directory: this.#directory,
      identity: identityOf(this.#shard, this.#options.plan, number),
      signal: this.#abort.signal,
      // The base may hold changes that so far only the memory has.
      beforeNaming: () => this.log.flush(),
    });
    this.#olderBytes = 0;
    this.#segmentCount = 1;
    this.log.forgetSealed();
    await removeFiles(this.#directory, planFiles(await readDirectory(this.#directory)).stale);
    this.#count++;
    this.#lastDurationMs = performance.now() - startedAt;
    const durationMs = Math.round(this.#lastDurationMs);
    this.#shard.log.info({ fromBytes: before, toBytes: this.sizeBytes, durationMs }, 'the log was compacted');
  }
}

function identityOf(
  shard: LogShard,
  plan: DirectoryPlan,
  number: number,
): Parameters<typeof writeBase>[0]['identity'] {
  return { kind: FILE_KIND.BASE, shard: shard.id, shardCount: plan.shards, epoch: plan.epoch, number };
}

async function recoverOwn(
  shard: LogShard,
  store: Store,
  { plan, repair }: StorageOptions,
  progress: ReplayProgress,
): Promise<RecoveryReport> {
  const sink = new StoreSink(store, shard.memory);
  const directory = shardDirectory(plan.path, plan.epoch, shard.id);
  return recover(sink, { directory, memory: shard.memory, repair, readOnly: false, progress });
}

/** Reads all logs of the previous epoch, keeps what belongs to this shard, and writes it into a base of the new one. */
async function recoverAll(
  shard: LogShard,
  store: Store,
  { plan, repair }: StorageOptions,
  progress: ReplayProgress,
): Promise<RecoveryReport> {
  const { memory } = shard;
  const previous = plan.previous ?? plan;
  const startedAt = performance.now();
  const sink = new StoreSink(store, memory);
  let droppedBytes = 0;
  let isClean = true;
  let records = 0;
  for (let oldShard = 0; oldShard < previous.shards; oldShard++) {
    sink.resharding = {
      shard: shard.id,
      shardCount: plan.shards,
      oldShard,
      oldShardCount: previous.shards,
    };
    const directory = shardDirectory(plan.path, previous.epoch, oldShard);
    const report = await recover(sink, { directory, memory, repair, readOnly: true, progress });
    droppedBytes += report.droppedBytes;
    records += report.records;
    isClean &&= report.isClean;
  }
  const baseBytes = await writeBase({
    memory,
    store,
    directory: shardDirectory(plan.path, plan.epoch, shard.id),
    identity: identityOf(shard, plan, 1),
    signal: new AbortController().signal,
    beforeNaming: () => Promise.resolve(),
  });
  const durationMs = performance.now() - startedAt;
  return {
    records,
    droppedBytes,
    isClean,
    baseBytes,
    segmentBytes: 0,
    segmentCount: 0,
    nextNumber: 1,
    durationMs,
  };
}
