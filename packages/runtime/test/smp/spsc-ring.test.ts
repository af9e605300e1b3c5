import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ControlLayout, createControlBlock } from '../../src/smp/layout.ts';
import { SpscConsumer, SpscProducer } from '../../src/smp/spsc-ring.ts';
import { preempt } from './preempt.ts';

/** Both ends of the ring from shard 0 to shard 1; slots and words are views of one memory. */
function ring(slots: number, start = 0) {
  const control = createControlBlock(2, slots);
  const layout = ControlLayout.of(control);
  const shared = new Int32Array(control, 0, layout.sizeBytes >>> 2);
  Atomics.store(shared, layout.tailWord(0, 1), start);
  Atomics.store(shared, layout.headWord(0, 1), start);
  const views = { shared, slots: shared, layout };
  return { shared, layout, producer: new SpscProducer(views, 0, 1), consumer: new SpscConsumer(views, 0, 1) };
}

const message = new Int32Array(16);

function write(producer: SpscProducer, value: number): boolean {
  message.fill(value);
  return producer.tryWrite(message, 0, 16);
}

describe('SpscProducer and SpscConsumer', () => {
  it('are a bounded queue, whatever the order of their steps', () => {
    const steps = fc.array(
      fc.constantFrom('write', 'claim', 'in place', 'publish', 'take', 'release', 'room'),
      {
        maxLength: 300,
      },
    );
    // Starts just below the places where the counters change sign and wrap.
    const starts = fc.constantFrom(0, -3, 0x7fff_fffd, 12_345);
    fc.assert(
      fc.property(fc.constantFrom(2, 4, 8), starts, steps, (slots, start, sequence) => {
        const { shared, producer, consumer } = ring(slots, start);
        const written: number[] = [];
        const published: number[] = [];
        let taken = 0;
        let next = 1;
        for (const step of sequence) {
          const used = written.length + published.length + taken;
          if (step === 'write') {
            expect(write(producer, next)).toBe(used < slots);
            if (used < slots) written.push(next++);
          } else if (step === 'claim' || step === 'in place') {
            // What was claimed and not committed is claimed again.
            const slot = producer.claim();
            expect(slot >= 0).toBe(used < slots);
            if (slot < 0 || step === 'claim') continue;
            shared.fill(next, slot, slot + 16);
            producer.commit();
            written.push(next++);
          } else if (step === 'publish') {
            producer.publish();
            published.push(...written.splice(0));
          } else if (step === 'room') expect(producer.room()).toBe(slots - used);
          else if (step === 'release') {
            expect(consumer.release()).toBe(false);
            taken = 0;
          } else {
            const available = consumer.available();
            expect(available).toBeLessThanOrEqual(published.length);
            expect(available > 0).toBe(published.length > 0);
            if (available > 0) {
              consumer.fetch(available);
              const slot = consumer.take();
              const value = published.shift();
              expect([...shared.subarray(slot, slot + 16)]).toEqual(Array.from({ length: 16 }, () => value));
              taken++;
            }
          }
          expect(producer.unpublished).toBe(written.length > 0);
          producer.invariants();
          consumer.invariants();
        }
      }),
      { numRuns: 300 },
    );
  });

  it('see each other correctly when either loses its core at any atomic access', () => {
    // Every state of a ring of two slots × every step of one side × every point in it × a run of the other.
    for (let fill = 0; fill <= 2; fill++) {
      for (const outer of ['producer', 'consumer'] as const) {
        for (let at = 0, more = true; more; at++) {
          const { shared, producer, consumer } = ring(2, 0x7fff_ffff);
          let next = 1;
          let expected = 1;
          const produce = (): void => {
            if (write(producer, next)) {
              producer.publish();
              next++;
            }
          };
          const consume = (): void => {
            while (consumer.available() > 0) expect(shared[consumer.take() + 7]).toBe(expected++);
            consumer.release();
          };
          for (let count = 0; count < fill; count++) produce();
          more = outer === 'producer' ? preempt(at, consume, produce) : preempt(at, produce, consume);
          consume();
          expect(expected).toBe(next);
          producer.invariants();
          consumer.invariants();
          expect(producer.room()).toBe(2);
        }
      }
    }
  });

  it('say when there is room, once, to a producer that asked', () => {
    const { producer, consumer } = ring(2);
    write(producer, 1);
    write(producer, 2);
    producer.publish();
    expect(write(producer, 3)).toBe(false);
    producer.wantRoom();
    consumer.available();
    consumer.take();
    expect(consumer.release()).toBe(true);
    expect(consumer.release()).toBe(false);
    expect(write(producer, 3)).toBe(true);
  });

  it('never leave a producer waiting for room that there is', () => {
    for (const outer of ['producer', 'consumer'] as const) {
      for (let at = 0, more = true; more; at++) {
        const { producer, consumer } = ring(2);
        write(producer, 1);
        write(producer, 2);
        producer.publish();
        let told = false;
        let wrote = false;
        const produce = (): void => {
          wrote = write(producer, 3);
          if (wrote) return;
          producer.wantRoom();
          wrote = write(producer, 3);
        };
        const consume = (): void => {
          while (consumer.available() > 0) consumer.take();
          told = consumer.release() || told;
        };
        more = outer === 'producer' ? preempt(at, consume, produce) : preempt(at, produce, consume);
        if (!more) continue;
        if (!wrote && !told) consume();
        expect(wrote || told).toBe(true);
      }
    }
  });

  it('notice that something wrote over their words', () => {
    const { shared, layout, producer, consumer } = ring(2);
    Atomics.store(shared, layout.headWord(0, 1), 5);
    const broken: unknown = expect.objectContaining({ code: 'SUNSTAR_BROKEN_INVARIANT' });
    expect(() => producer.invariants()).toThrow(broken);
    expect(() => consumer.invariants()).toThrow(broken);
  });
});
