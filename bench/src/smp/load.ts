/** One call and its answer. */
export type Call = (value: number) => Promise<number>;

const LATENCY_CALLS = 20_000;
const RATE_CALLS = 200_000;
const SLOW_RATE_CALLS = 40_000;
const ONE_WAY_MESSAGES = 400_000;
const SLOW_ONE_WAY_MESSAGES = 80_000;
/** One-way messages that are sent without giving way. */
const BURST = 100;
/** One-way messages that are sent before a call makes sure that all have arrived. */
const CHECKED = 4000;
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

/** Keeps so many calls outstanding. @returns Calls per second. */
export async function callsPerSecond(call: Call, outstanding: number, fast: boolean): Promise<number> {
  await warmUp(call, outstanding);
  const calls = fast ? RATE_CALLS : SLOW_RATE_CALLS;
  let next = 0;
  const lane = async (): Promise<void> => {
    while (next < calls) {
      const value = next++;
      if ((await call(value)) !== value + 1) throw new Error('a wrong answer');
    }
  };
  const start = performance.now();
  await Promise.all(Array.from({ length: outstanding }, lane));
  return calls / ((performance.now() - start) / 1000);
}

/** Sends messages that nobody answers, with a call now and then. @returns Messages per second. */
export async function messagesPerSecond(
  send: (value: number) => void,
  call: Call,
  fast: boolean,
): Promise<number> {
  const burst = async (): Promise<void> => {
    for (let sent = 0; sent < CHECKED; sent += BURST) {
      for (let value = 0; value < BURST; value++) send(value);
      await null;
    }
    await check(call(1), 1);
  };
  const until = performance.now() + WARM_UP_MS;
  while (performance.now() < until) await burst();
  const messages = fast ? ONE_WAY_MESSAGES : SLOW_ONE_WAY_MESSAGES;
  const start = performance.now();
  for (let sent = 0; sent < messages; sent += CHECKED) await burst();
  return messages / ((performance.now() - start) / 1000);
}
