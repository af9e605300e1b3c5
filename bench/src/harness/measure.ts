import type { BenchmarkCase, Measurement } from './benchmark.js';
import { type Comparison, compare } from './statistics.js';

/** One line of a result: a metric of a case, compared with one peer. The JSON form has exactly these fields. */
export interface Row extends Comparison {
  readonly case: string;
  readonly peer: string;
  readonly unit: string;
  readonly higherIsBetter: boolean;
}

/**
 * Measures a case in interleaved rounds (ours, first peer, second peer, …, ours, …) and gives a row for each metric
 * and peer, metric by metric.
 *
 * @param rounds that count; the case's warm-up rounds come before them
 * @throws RangeError when a measurement is not a positive finite number for each metric: a ratio with it would
 * mean nothing
 */
export async function measureCase(benchmarkCase: BenchmarkCase, rounds: number): Promise<Row[]> {
  const { metrics, peers, warmupRounds = 1 } = benchmarkCase;
  const ours: number[][] = [];
  const theirs: number[][][] = peers.map(() => []);
  try {
    await benchmarkCase.setup?.();
    for (let round = -warmupRounds; round < rounds; round++) {
      const sample = checked(benchmarkCase, 'ours', await benchmarkCase.ours());
      if (round >= 0) ours.push(sample);
      for (const [index, peer] of peers.entries()) {
        const peerSample = checked(benchmarkCase, peer.peer, await peer.measure());
        if (round >= 0) theirs[index].push(peerSample);
      }
    }
  } finally {
    await benchmarkCase.teardown?.();
  }
  return metrics.flatMap((metric, column) =>
    peers.map(({ peer }, index) =>
      row(
        metric.case,
        peer,
        metric.unit,
        metric.higherIsBetter,
        compare(columnOf(ours, column), columnOf(theirs[index], column), metric.higherIsBetter),
      ),
    ),
  );
}

function row(name: string, peer: string, unit: string, higherIsBetter: boolean, result: Comparison): Row {
  const { ours, theirs, ratio, ratioMin, ratioMax, rounds } = result;
  return { case: name, peer, unit, ours, theirs, ratio, ratioMin, ratioMax, rounds, higherIsBetter };
}

function columnOf(samples: readonly (readonly number[])[], column: number): number[] {
  return samples.map((sample) => sample[column]);
}

function checked({ metrics }: BenchmarkCase, who: string, measurement: Measurement): number[] {
  const sample = typeof measurement === 'number' ? [measurement] : [...measurement];
  if (sample.length !== metrics.length || !sample.every((value) => Number.isFinite(value) && value > 0)) {
    const names = metrics.map((metric) => metric.case).join(', ');
    throw new RangeError(
      `${who} measured [${sample.join(', ')}] for "${names}": expected one positive number each`,
    );
  }
  return sample;
}
