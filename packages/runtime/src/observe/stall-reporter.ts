import type { StallEvent } from '@sunstar/native';
import type { Logger } from '../log.js';
import type { LatencyRecorder, Metrics } from '../metrics/index.js';
import { CHANNELS } from './channels.js';
import { formatFrame, type StallReport, stallMessage, stallReport } from './stall-report.js';

/** What a {@link StallReporter} stands on. */
export interface StallReporterParts {
  /** The logger of a shard. */
  readonly logOf: (shard: number) => Logger;
  readonly metrics: Metrics;
  readonly groupName: (groupId: number) => string;
  readonly onStall: ((report: StallReport) => void) | undefined;
}

/** Tells of stalls: the log, the channel, the listener; and counts all of them, reported or not. */
export class StallReporter {
  readonly #parts: StallReporterParts;
  /** By shard and group. */
  readonly #recorders = new Map<string, LatencyRecorder>();

  constructor(parts: StallReporterParts) {
    this.#parts = parts;
  }

  report(shard: number, event: StallEvent): void {
    const group = this.#parts.groupName(event.group);
    const report = stallReport(event, shard, group);
    if (report === undefined) {
      this.#recorderOf(shard, group).record(event.elapsedMs);
      return;
    }
    this.#parts.logOf(shard).warn(
      {
        group,
        stall: report.kind,
        elapsedMs: Math.round(report.elapsedMs),
        cpuMs: Math.round(report.cpuMs),
        stack: report.frames.map(formatFrame),
      },
      stallMessage(report),
    );
    CHANNELS.stall.publish(report);
    this.#parts.onStall?.(report);
  }

  #recorderOf(shard: number, group: string): LatencyRecorder {
    const key = `${shard} ${group}`;
    let recorder = this.#recorders.get(key);
    if (recorder === undefined) {
      recorder = this.#parts.metrics.latency({
        name: 'sunstar_stall_seconds',
        help: 'Turns that lasted longer than the threshold of the stall detector.',
        labels: { shard, group },
      });
      this.#recorders.set(key, recorder);
    }
    return recorder;
  }
}
