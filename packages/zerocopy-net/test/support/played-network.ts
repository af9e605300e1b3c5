import { createArena, ShardMemory } from '@sunstar/runtime';
import { expect } from 'vitest';
import { Network } from '../../src/network.ts';
import { newZeroCopyTestHooks } from '../../src/zero-copy/test-hooks.ts';
import { FakeKernel } from './fake-kernel.ts';

export const memory = new ShardMemory(createArena(8 * 1024 * 1024), { debug: true });

/** A shard's network over a kernel that is played. */
interface World {
  readonly kernel: FakeKernel;
  readonly network: Network;
}

function makeWorld(incrementalReceive: boolean): World {
  const kernel = new FakeKernel(memory, incrementalReceive);
  // A tiny pool, so that it runs out all the time.
  const network = new Network(
    kernel.shard,
    { receiveBufferBytes: 512, receiveBufferCount: 8 },
    () => kernel.nowMs,
  );
  network.zeroCopy.hooks = { ...newZeroCopyTestHooks(), assumesRemotePeer: true };
  expect(network.pool.isIncremental).toBe(incrementalReceive);
  return { kernel, network };
}

const incremental = makeWorld(true);
const whole = makeWorld(false);
export let { kernel, network } = incremental;

/** Which kernel plays from now on: one that fills buffers bit by bit, or one that takes a whole one for each piece. */
export function chooseKernel(isIncremental: boolean): void {
  ({ kernel, network } = isIncremental ? incremental : whole);
}
