import fc from 'fast-check';
import { ZeroCopyTracker } from '../../src/zero-copy/tracker.ts';

const TWO_POW_32 = 2 ** 32;

/** One step of a run: what the socket or the kernel does. */
export type TrackerStep =
  | { readonly kind: 'send' }
  | { readonly kind: 'fail' }
  | { readonly kind: 'early'; readonly accepted: boolean }
  | { readonly kind: 'notify'; readonly at: number; readonly count: number }
  | { readonly kind: 'repeat'; readonly back: number; readonly count: number }
  | { readonly kind: 'invent'; readonly ahead: number; readonly count: number }
  | { readonly kind: 'trim' };

export const trackerStep: fc.Arbitrary<TrackerStep> = fc.oneof(
  { weight: 12, arbitrary: fc.constant<TrackerStep>({ kind: 'send' }) },
  { weight: 2, arbitrary: fc.constant<TrackerStep>({ kind: 'fail' }) },
  { weight: 2, arbitrary: fc.boolean().map((accepted): TrackerStep => ({ kind: 'early', accepted })) },
  {
    weight: 9,
    arbitrary: fc
      .tuple(fc.nat(400), fc.oneof(fc.constant(1), fc.nat(60)))
      .map(([at, count]): TrackerStep => ({ kind: 'notify', at, count: Math.max(1, count) })),
  },
  {
    weight: 1,
    arbitrary: fc
      .tuple(fc.integer({ min: 1, max: 300 }), fc.integer({ min: 1, max: 400 }))
      .map(([back, count]): TrackerStep => ({ kind: 'repeat', back, count })),
  },
  {
    weight: 1,
    arbitrary: fc
      .tuple(fc.nat(300), fc.integer({ min: 1, max: 100 }))
      .map(([ahead, count]): TrackerStep => ({ kind: 'invent', ahead, count })),
  },
  { weight: 5, arbitrary: fc.constant<TrackerStep>({ kind: 'trim' }) },
);

/** Numbers around the wrap, and any. */
export const firstSequence: fc.Arbitrary<number> = fc.oneof(
  { weight: 3, arbitrary: fc.integer({ min: TWO_POW_32 - 600, max: TWO_POW_32 - 1 }) },
  { weight: 1, arbitrary: fc.integer({ min: 0, max: TWO_POW_32 - 1 }) },
);

/** The tracker beside a set of the sends that are in flight: numbers here do not wrap. */
export class TrackerModel {
  readonly tracker: ZeroCopyTracker<number>;
  readonly released: number[] = [];
  readonly #first: number;
  readonly #held = new Set<number>();
  readonly #everReleased = new Set<number>();
  #next = 0;
  /** The first record that the tracker still has: {@link trim} alone moves it. */
  #front = 0;
  maxCapacity = 0;

  constructor(first: number) {
    this.#first = first;
    this.tracker = new ZeroCopyTracker<number>((held) => this.released.push(held), first);
  }

  #wire(number: number): number {
    return (((this.#first + number) % TWO_POW_32) + TWO_POW_32) % TWO_POW_32;
  }

  #expectReleased(numbers: readonly number[]): void {
    const released = this.released.splice(0).sort((a, b) => a - b);
    const expected = [...numbers].sort((a, b) => a - b);
    if (released.length !== expected.length || released.some((number, i) => number !== expected[i])) {
      throw new Error(`released ${released.join()} instead of ${expected.join()}`);
    }
    for (const number of released) {
      if (this.#everReleased.has(number)) throw new Error(`released ${number} twice`);
      this.#everReleased.add(number);
    }
  }

  #begin(): void {
    const sequence = this.tracker.begin();
    if (sequence !== this.#wire(this.#next))
      throw new Error(`began ${sequence} instead of ${this.#wire(this.#next)}`);
  }

  #send(): void {
    this.#begin();
    this.tracker.commit(this.#next);
    this.#held.add(this.#next++);
    this.#expectReleased([]);
  }

  /** The kernel notifies `count` numbers from `first` on; some may be held, some not. */
  #notify(first: number, count: number): void {
    const ended = [];
    let duplicates = 0;
    let unknown = 0;
    for (let number = first; number < first + count; number++) {
      if (this.#held.delete(number)) ended.push(number);
      else if (number < this.#next) duplicates++;
      else unknown++;
    }
    const before = { duplicates: this.tracker.duplicates, unknown: this.tracker.unknown };
    const result = this.tracker.complete(this.#wire(first), this.#wire(first + count - 1));
    if (result !== ended.length) throw new Error(`ended ${result} instead of ${ended.length}`);
    if (this.tracker.duplicates - before.duplicates !== duplicates)
      throw new Error('duplicates are not counted');
    if (this.tracker.unknown - before.unknown !== unknown) throw new Error('unknown numbers are not counted');
    this.#expectReleased(ended);
  }

  run(step: TrackerStep): void {
    switch (step.kind) {
      case 'send':
        this.#send();
        break;
      case 'fail':
        this.#begin();
        this.tracker.rollback();
        this.#expectReleased([]);
        break;
      case 'early': {
        this.#begin();
        this.tracker.complete(this.#wire(this.#next), this.#wire(this.#next));
        this.#expectReleased([]);
        if (step.accepted) {
          this.tracker.commit(this.#next);
          this.#expectReleased([this.#next++]);
        } else {
          const { unknown } = this.tracker;
          this.tracker.rollback();
          if (this.tracker.unknown !== unknown + 1)
            throw new Error('a number that was not taken was notified');
        }
        break;
      }
      case 'notify': {
        const records = this.#next - this.#front;
        if (records === 0) break;
        const first = this.#front + (step.at % records);
        this.#notify(first, Math.min(step.count, this.#next - first));
        break;
      }
      case 'repeat':
        this.#notify(this.#front - step.back, step.count);
        break;
      case 'invent':
        this.#notify(this.#next + step.ahead, step.count);
        break;
      default:
        this.tracker.trim();
        while (this.#front < this.#next && !this.#held.has(this.#front)) this.#front++;
        if (this.tracker.length !== this.#next - this.#front) throw new Error('the front was not trimmed');
    }
    this.check();
  }

  check(): void {
    this.tracker.invariants();
    if (this.tracker.inFlight !== this.#held.size) throw new Error('the number in flight is wrong');
    this.maxCapacity = Math.max(this.maxCapacity, this.tracker.capacity);
  }

  /** Every send that is in flight is notified, in this order. */
  finish(backwards: boolean): void {
    const numbers = [...this.#held];
    if (backwards) numbers.reverse();
    for (const number of numbers) this.#notify(number, 1);
    this.tracker.trim();
    this.check();
    if (this.tracker.length !== 0 || this.tracker.capacity !== 8) throw new Error('the tracker is not empty');
    if (this.#everReleased.size !== this.#next) throw new Error('memory was not released');
  }
}

/** Any steps from any number on leave tracker and model alike. */
export function trackerProperty(maxSteps: number, reached: { maxCapacity: number }): fc.IProperty<unknown> {
  return fc.property(
    firstSequence,
    fc.array(trackerStep, { maxLength: maxSteps }),
    fc.array(fc.nat(80), { maxLength: 4 }),
    fc.boolean(),
    (first, steps, bursts, backwards) => {
      const model = new TrackerModel(first);
      const every = Math.ceil((steps.length + 1) / (bursts.length + 1));
      for (const [i, step] of steps.entries()) {
        // Bursts make it grow at any fill.
        if (i % every === 0) for (let n = bursts[i / every] ?? 0; n > 0; n--) model.run({ kind: 'send' });
        model.run(step);
      }
      model.finish(backwards);
      reached.maxCapacity = Math.max(reached.maxCapacity, model.maxCapacity);
    },
  );
}
