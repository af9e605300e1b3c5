import { median } from '../harness/statistics.js';

/** One call and its answer. */
export type Call = (value: number) => Promise<number>;

const LATENCY_CALLS = 20_000;
/** Calls or messages between two looks at the clock. */
const LOOK = 64;
const SLICE_MS = 2;
const RUN_MS = 300;
/** One-way messages that are sent without giving way, and how often before a call makes sure that all arrived. */
const BURST = 64;
const BURSTS = 16;
const WARM_UP_MS = 150;

async function check(answer: Promise<number>, value: number): Promise<void> {
  if ((await answer) !== value + 1) throw new Error('a wrong answer');
}

async function warmUp(call: Call, outstanding: number): Promise<void> {
  const until = performance.now() + WARM_UP_MS;
  while (performance.now() < until) {
    await Promise.all(Array.from({ length: outstanding }, (_, value) => check(call(value), value)));
  }
}

/** Calls one after the other. @returns Median and 99th percentile of a round trip in microseconds. */
export async function latencyUs(call: Call, calls: number = LATENCY_CALLS): Promise<[number, number]> {
  await warmUp(call, 1);
  const times = new Float64Array(calls);
  for (let index = 0; index < calls; index++) {
    const start = performance.now();
    const answer = await call(index);
    times[index] = (performance.now() - start) * 1000;
    if (answer !== index + 1) throw new Error('a wrong answer');
  }
  times.sort();
  return [times[calls >> 1], times[Math.floor(calls * 0.99)]];
}

/**
 * A rate over slices of 2 ms: the median, so that another program that takes a core for a while counts
 * neither for nor against anyone.
 */
class SlicedRate {
  readonly #rates: number[] = [];
  readonly #end: number = performance.now() + RUN_MS;
  #sliceStart: number = performance.now();
  #count = 0;

  /** Counts what was done since the last look. @returns Whether the run is over. */
  look(done: number): boolean {
    this.#count += done;
    const now = performance.now();
    const elapsedMs = now - this.#sliceStart;
    if (elapsedMs >= SLICE_MS) {
      this.#rates.push(this.#count / (elapsedMs / 1000));
      this.#sliceStart = now;
      this.#count = 0;
    }
    return now >= this.#end;
  }

  get perSecond(): number {
    return median(this.#rates);
  }
}

/** Keeps so many calls outstanding. @returns Calls per second. */
export async function callsPerSecond(call: Call, outstanding: number): Promise<number> {
  await warmUp(call, outstanding);
  const rate = new SlicedRate();
  let over = false;
  let next = 0;
  let answered = 0;
  const lane = async (): Promise<void> => {
    while (!over) {
      const value = next++;
      if ((await call(value)) !== value + 1) throw new Error('a wrong answer');
      if (++answered % LOOK === 0) over = rate.look(LOOK) || over;
    }
  };
  await Promise.all(Array.from({ length: outstanding }, lane));
  return rate.perSecond;
}

/** Sends messages that nobody answers in bursts, and a call after some. @returns Messages per second. */
export async function messagesPerSecond(send: (value: number) => void, call: Call): Promise<number> {
  const bursts = async (): Promise<number> => {
    for (let burst = 0; burst < BURSTS; burst++) {
      for (let value = 0; value < BURST; value++) send(value);
      await Promise.resolve();
    }
    await check(call(1), 1);
    return BURSTS * BURST;
  };
  const until = performance.now() + WARM_UP_MS;
  while (performance.now() < until) await bursts();
  const rate = new SlicedRate();
  while (!rate.look(await bursts()));
  return rate.perSecond;
}
