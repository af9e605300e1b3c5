/** Reads or writes of one size, so many at a time, until the time is over or (a growing file) the file is complete. */
export interface FileJob {
  readonly path: string;
  readonly isWrite: boolean;
  readonly sizeBytes: number;
  readonly depth: number;
  readonly fileBytes: number;
  /** The file does not exist; it is written once, from its beginning. */
  readonly isGrowing: boolean;
  /** At random places; otherwise one after the other, and from the beginning again. */
  readonly isRandom: boolean;
  readonly durationMs: number;
  /** With buffers and descriptor registered, where the program can. */
  readonly isRegistered?: boolean;
  /** Where the thread runs that submits and waits, for ours and fio; the scheduler decides without. */
  readonly cpu?: number | undefined;
  /** How long ours looks for answers before it sleeps, in microseconds. @default 0 */
  readonly idlePollUs?: number;
}

/** What a job took. */
export interface FileResult {
  readonly operationsPerSecond: number;
  readonly p50Us: number;
  readonly p99Us: number;
  /** User and system time of the process. */
  readonly cpuUsPerOperation: number;
}

/** Starts one operation. `done` must not be called before it returns. */
export type StartOperation = (slot: number, position: number, done: (result: number) => void) => void;

const MAX_SAMPLES = 1 << 20;
/** Kept, so that no measurement pays for the collection of the one before. */
const latenciesMs = new Float64Array(MAX_SAMPLES);

/** Keeps `depth` operations in flight and measures them. */
export function runJob(job: FileJob, start: StartOperation): Promise<FileResult> {
  const { sizeBytes, depth, fileBytes, isGrowing, isRandom, durationMs } = job;
  const slots = fileBytes / sizeBytes;
  const startedMs = new Float64Array(depth);
  const beganMs = performance.now();
  const cpu = process.cpuUsage();
  let issued = 0;
  let completed = 0;
  let inFlight = 0;

  return new Promise((resolve, reject) => {
    let isOver = false;
    const finish = (endedMs: number): void => {
      const used = process.cpuUsage(cpu);
      const samples = latenciesMs.slice(0, Math.min(completed, MAX_SAMPLES)).sort();
      const at = (share: number): number => samples[Math.floor(share * (samples.length - 1))] * 1000;
      resolve({
        operationsPerSecond: (completed * 1000) / (endedMs - beganMs),
        p50Us: at(0.5),
        p99Us: at(0.99),
        cpuUsPerOperation: (used.user + used.system) / completed,
      });
    };
    const next = (slot: number, nowMs: number): void => {
      const place = isRandom ? Math.floor(Math.random() * slots) : issued % slots;
      issued++;
      inFlight++;
      startedMs[slot] = nowMs;
      start(slot, place * sizeBytes, dones[slot]);
    };
    const ended = (slot: number, result: number): void => {
      inFlight--;
      const nowMs = performance.now();
      if (result !== sizeBytes) {
        if (!isOver) reject(new Error(`an operation gave ${result} instead of ${sizeBytes} bytes`));
        isOver = true;
        return;
      }
      if (completed < MAX_SAMPLES) latenciesMs[completed] = nowMs - startedMs[slot];
      completed++;
      isOver ||= isGrowing ? issued === slots : nowMs - beganMs >= durationMs;
      if (!isOver) next(slot, nowMs);
      else if (inFlight === 0) finish(nowMs);
    };
    const dones = Array.from({ length: depth }, (_, slot) => (result: number) => ended(slot, result));
    for (let slot = 0; slot < depth; slot++) next(slot, beganMs);
  });
}
