import { IOBuf } from '@sunstar/iobuf';
import { ERRNO, IORING_OP, type SunstarError } from '@sunstar/runtime';
import fc from 'fast-check';
import { expect } from 'vitest';
import { connectionLimits } from '../../src/options.ts';
import { newConnectionStats } from '../../src/stats.ts';
import { Transport, type TransportOwner, TransportState } from '../../src/transport.ts';
import { chooseKernel, kernel, memory, network } from './played-network.ts';

const limits = connectionLimits({
  zeroCopy: 'always',
  zeroCopyThresholdBytes: 1500,
  maxOutputBytes: 10_000,
  outputHighWaterBytes: 4000,
  idleTimeoutMs: 1000,
  halfOpenTimeoutMs: 100,
  closeTimeoutMs: 500,
});
let nextDescriptor = 1_000_000;

/** Byte number `position` of each direction's stream. */
function pattern(from: number, length: number): Buffer {
  const bytes = Buffer.alloc(length);
  for (let i = 0; i < length; i++) bytes[i] = (from + i) * 31 + ((from + i) >>> 8);
  return bytes;
}

/** One socket with its application and its peer. */
export class Model implements TransportOwner {
  readonly transport: Transport;
  readonly stats = newConnectionStats();
  written = 0;
  delivered = 0;
  arrived = 0;
  ends = 0;
  closes = 0;
  drains = 0;
  error: SunstarError | null = null;
  peerEnded = false;
  retained: IOBuf[] = [];
  /** What the application does inside its next onData calls. */
  reactions: Reaction[] = [];

  constructor() {
    kernel.reset();
    kernel.isGrouped = false;
    this.transport = new Transport(network, nextDescriptor++, this, limits, this.stats);
    this.transport.receiveSide.start();
  }

  /** The transport catches what callbacks throw: a failed expectation is kept for later. */
  failure: Error | undefined;

  onData(offset: number, length: number): void {
    try {
      this.checkData(offset, length);
    } catch (error) {
      this.failure ??= error as Error;
    }
    this.react(length);
  }

  checkData(offset: number, length: number): void {
    expect(this.transport.receiveSide.isPaused).toBe(false);
    expect(this.ends).toBe(0);
    expect(this.transport.state).toBe(TransportState.Open);
    const data = memory.bytes.subarray(offset, offset + length);
    expect(data.equals(pattern(this.delivered, length))).toBe(true);
    this.delivered += length;
  }

  react(length: number): void {
    const reaction = this.reactions.shift();
    if (reaction === 'retain') {
      const kept = new IOBuf(memory);
      this.transport.receiveSide.takeInto(kept);
      if (!kept.equals(pattern(this.delivered - length, length)))
        this.failure ??= new Error('retained other bytes');
      this.retained.push(kept);
    } else if (reaction === 'echo') this.write(length);
    else if (reaction === 'pause') this.transport.receiveSide.pause();
    else if (reaction === 'reset') this.transport.reset(null);
    else if (reaction === 'close') this.transport.close();
    else if (reaction === 'throw') throw new Error('the handler fails');
  }

  onEnd(): void {
    if (this.ends++ > 0) this.failure ??= new Error('ended twice');
    if (this.transport.receiveSide.isPaused) this.failure ??= new Error('ended while paused');
  }

  onDrain(): void {
    this.drains++;
    if (this.transport.sendSide.pendingBytes >= limits.outputHighWaterBytes / 2) {
      this.failure ??= new Error('drained too early');
    }
  }

  onClose(error: SunstarError | null): void {
    if (this.closes++ > 0) this.failure ??= new Error('closed twice');
    if (kernel.operations.size > 0) this.failure ??= new Error('operations in flight at the end');
    const isHalfOpen = this.peerEnded || this.transport.sendSide.isEnded;
    if (error?.code === 'SUNSTAR_HALF_OPEN_TIMEOUT' && !isHalfOpen)
      this.failure ??= new Error('not half-open');
    this.error = error;
  }

  write(length: number): void {
    const { sendSide } = this.transport;
    const accepted = this.transport.state === TransportState.Open && !sendSide.isEnding;
    sendSide.output.append(pattern(this.written, length));
    if (accepted) this.written += length;
    else sendSide.output.trimBack(length);
    sendSide.flush();
  }

  /** Sent bytes are the written ones, from the first on, without a gap. */
  checkSent(): number {
    const sent = Buffer.concat(kernel.sent);
    expect(sent.length).toBeLessThanOrEqual(this.written);
    expect(sent.equals(pattern(0, sent.length))).toBe(true);
    return sent.length;
  }

  receive(lengths: readonly number[], more: boolean): void {
    if (this.peerEnded) return;
    let from = this.arrived;
    const pieces = lengths.map((length) => {
      from += length;
      return pattern(from - length, length);
    });
    this.arrived += Math.max(0, kernel.receive(pieces, more));
  }

  /** Ends everything in the way the kernel would, whatever is in flight. */
  async finish(): Promise<void> {
    this.transport.reset(null);
    for (let i = 0; i < 50 && this.closes === 0; i++) {
      kernel.tick();
      for (const operation of [...kernel.operations.values()]) {
        if (operation.opcode === IORING_OP.SHUTDOWN) kernel.complete(operation, 0);
        else {
          expect(operation.cancelled).toBe(true);
          if (operation === kernel.send) kernel.completeSend(-ERRNO.ECANCELED, i % 2 === 0);
          else if (!operation.isOver) kernel.endReceive(operation, -ERRNO.ECANCELED);
        }
      }
      while (kernel.deliverNext());
      kernel.notify(i);
      await this.closeDescriptors();
    }
    expect(this.closes).toBe(1);
    expect(this.transport.state).toBe(TransportState.Closed);
    this.checkSent();
    for (const kept of this.retained) kept[Symbol.dispose]();
    while (kernel.hasDeferred) kernel.tick();
  }

  async closeDescriptors(): Promise<void> {
    for (const close of kernel.closes.splice(0)) close();
    await Promise.resolve();
    await Promise.resolve();
  }
}

type Reaction = 'nothing' | 'retain' | 'echo' | 'pause' | 'reset' | 'close' | 'throw';
type Step = (model: Model) => void | Promise<void>;

const reaction = fc.oneof(
  { weight: 20, arbitrary: fc.constant<Reaction>('nothing') },
  { weight: 12, arbitrary: fc.constant<Reaction>('retain') },
  { weight: 12, arbitrary: fc.constant<Reaction>('echo') },
  { weight: 6, arbitrary: fc.constant<Reaction>('pause') },
  { weight: 1, arbitrary: fc.constantFrom<Reaction>('reset', 'close', 'throw', 'throw') },
);

function sendFailure(
  errnos: readonly number[],
): fc.Arbitrary<{ errno: number; isNotified: boolean; name: string }> {
  return fc
    .record({ errno: fc.constantFrom(...errnos), isNotified: fc.boolean() })
    .map(({ errno, isNotified }) => ({
      errno,
      isNotified,
      name: `send fails ${errno}${isNotified ? ', notified' : ''}`,
    }));
}

const step: fc.Arbitrary<{ name: string; run: Step }> = fc.oneof(
  { weight: 12, arbitrary: fc.constant({ name: 'tick', run: () => kernel.tick() }) },
  { weight: 12, arbitrary: fc.constant({ name: 'turn', run: () => void kernel.deliverNext() }) },
  {
    weight: 8,
    arbitrary: fc
      .oneof(fc.integer({ min: 1, max: 40 }), fc.integer({ min: 1, max: 9000 }))
      .map((n) => ({ name: `write ${n}`, run: (m: Model) => m.write(n) })),
  },
  {
    weight: 10,
    arbitrary: fc
      .oneof(fc.integer({ min: 1, max: 3000 }), fc.constant(Number.MAX_SAFE_INTEGER))
      .map((n) => ({ name: `send takes ${n}`, run: () => void kernel.completeSend(n) })),
  },
  {
    weight: 1,
    arbitrary: sendFailure([ERRNO.EAGAIN, ERRNO.EINTR, ERRNO.EPIPE, ERRNO.ECONNRESET]).map(
      ({ errno, isNotified, name }) => ({ name, run: () => void kernel.completeSend(-errno, isNotified) }),
    ),
  },
  {
    // Only zero-copy sends are refused so; they are rarer, so this is tried more often.
    weight: 3,
    arbitrary: sendFailure([ERRNO.ENOMEM, ERRNO.ENOBUFS]).map(({ errno, isNotified, name }) => ({
      name,
      run: () => {
        const opcode = kernel.send?.opcode;
        if (opcode === IORING_OP.SEND_ZC || opcode === IORING_OP.SENDMSG_ZC)
          kernel.completeSend(-errno, isNotified);
      },
    })),
  },
  {
    weight: 6,
    arbitrary: fc.nat(20).map((n) => ({ name: `notification ${n}`, run: () => kernel.notify(n) })),
  },
  {
    weight: 12,
    arbitrary: fc
      .tuple(
        fc.array(fc.tuple(fc.integer({ min: 1, max: 512 }), reaction), { minLength: 1, maxLength: 10 }),
        fc.boolean(),
      )
      .map(([pieces, more]) => ({
        name: `receive ${pieces.map(([n, r]) => `${n} ${r}`).join(', ')}${more ? '' : ', last'}`,
        run: (m: Model) => {
          m.reactions = pieces.map(([, r]) => r);
          m.receive(
            pieces.map(([n]) => n),
            more,
          );
        },
      })),
  },
  {
    weight: 2,
    arbitrary: fc.constantFrom(0, 0, 0, -ERRNO.ECONNRESET, -ERRNO.ETIMEDOUT, -ERRNO.EAGAIN).map((result) => ({
      name: `receive ends ${result}`,
      run: (m: Model) => {
        const operation = kernel.find(IORING_OP.RECV);
        if (operation === undefined) return;
        if (result === 0) m.peerEnded = true;
        kernel.endReceive(operation, result);
      },
    })),
  },
  {
    weight: 5,
    arbitrary: fc.constant({
      name: 'cancels take effect',
      run: () => {
        for (const operation of [...kernel.operations.values()]) {
          if (!operation.cancelled) continue;
          if (operation === kernel.send) kernel.completeSend(-ERRNO.ECANCELED);
          else if (!operation.isOver) kernel.endReceive(operation, -ERRNO.ECANCELED);
        }
      },
    }),
  },
  {
    weight: 4,
    arbitrary: fc.constant({
      name: 'FIN is sent',
      run: () => {
        const operation = kernel.find(IORING_OP.SHUTDOWN);
        if (operation === undefined) return;
        kernel.finSent = true;
        kernel.complete(operation, 0);
      },
    }),
  },
  {
    weight: 3,
    arbitrary: fc.constant({ name: 'pause', run: (m: Model) => m.transport.receiveSide.pause() }),
  },
  {
    weight: 6,
    arbitrary: fc.constant({ name: 'resume', run: (m: Model) => m.transport.receiveSide.resume() }),
  },
  {
    weight: 4,
    arbitrary: fc.constant({ name: 'release', run: (m: Model) => m.retained.shift()?.[Symbol.dispose]() }),
  },
  { weight: 2, arbitrary: fc.constant({ name: 'end', run: (m: Model) => m.transport.sendSide.end() }) },
  {
    weight: 1,
    arbitrary: fc.constant({ name: 'stop input', run: (m: Model) => m.transport.receiveSide.stop() }),
  },
  { weight: 1, arbitrary: fc.constant({ name: 'close', run: (m: Model) => m.transport.close() }) },
  { weight: 1, arbitrary: fc.constant({ name: 'reset', run: (m: Model) => m.transport.reset(null) }) },
  {
    weight: 4,
    arbitrary: fc.integer({ min: 1, max: 1500 }).map((ms) => ({
      name: `${ms} ms pass`,
      run: (m: Model) => {
        kernel.nowMs += ms;
        m.transport.sweep(kernel.nowMs);
      },
    })),
  },
  {
    weight: 3,
    arbitrary: fc.constant({ name: 'descriptors close', run: (m: Model) => m.closeDescriptors() }),
  },
);

/** How often the runs got into each of the states that matter: the property says nothing about one that none reached. */
export type Reached = Record<
  | 'exhausted'
  | 'outputDrains'
  | 'ends'
  | 'overflows'
  | 'failures'
  | 'forced'
  | 'handlerErrors'
  | 'idle'
  | 'halfOpen',
  number
>;

export function newReached(): Reached {
  return {
    exhausted: 0,
    outputDrains: 0,
    ends: 0,
    overflows: 0,
    failures: 0,
    forced: 0,
    handlerErrors: 0,
    idle: 0,
    halfOpen: 0,
  };
}

/** Whatever order operations complete in, bytes keep their order and nothing is freed or closed early. */
export function transportProperty(reached: Reached, maxSteps = 120): fc.IAsyncProperty<unknown> {
  const usedBytes = memory.stats().usedBytes;
  return fc.asyncProperty(
    fc.boolean(),
    fc.boolean(),
    fc
      .array(step, { minLength: 10, maxLength: maxSteps })
      .map((steps) =>
        Object.assign(steps, { [fc.toStringMethod]: () => steps.map((s) => s.name).join('; ') }),
      ),
    async (isIncremental, isGrouped, steps) => {
      chooseKernel(isIncremental);
      const model = new Model();
      kernel.isGrouped = isGrouped;
      for (const { run } of steps) {
        await run(model);
        if (model.failure !== undefined) throw model.failure;
        network.invariants();
        model.transport.invariants();
      }
      await model.finish();
      if (model.failure !== undefined) throw model.failure;
      reached.exhausted += model.stats.bufferPoolExhausted;
      reached.outputDrains += model.drains;
      reached.ends += model.ends;
      reached.overflows += model.stats.outputLimitCloses;
      reached.failures += model.stats.errors;
      reached.forced += model.stats.forcedCloses;
      reached.handlerErrors += model.stats.handlerErrors;
      reached.idle += model.stats.idleCloses;
      reached.halfOpen += model.stats.halfOpenCloses;
      network.invariants();
      network.tables.trim();
      expect(network.zeroCopy.counters).toMatchObject({ inFlight: 0, heldBytes: 0, draining: 0 });
      expect(network.pool.free).toBe(network.pool.bufferCount);
      expect(network.pool.waiterCount).toBe(0);
      expect(network.pool.heldPieces).toBe(0);
      expect(network.openCount).toBe(0);
      expect(network.sweeper.watchedCount).toBe(0);
      expect(model.stats.open).toBe(0);
      expect(kernel.references).toBe(0);
      expect(memory.stats().usedBytes).toBe(usedBytes);
    },
  );
}

/** Fails when no run got into one of the states. */
export function expectReached(reached: Reached): void {
  const { sends, notified, outOfBuffers, drains, forcedDrains } = network.zeroCopy.counters;
  const all = { ...reached, sends, notified, outOfBuffers, drains, forcedDrains };
  for (const [what, count] of Object.entries(all)) expect(count, what).toBeGreaterThan(0);
}
