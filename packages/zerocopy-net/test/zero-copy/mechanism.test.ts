import { createArena, ERRNO, IORING_OP, ShardMemory } from '@sunstar/runtime';
import { describe, expect, test } from 'vitest';
import type { ZeroCopyMechanism } from '../../src/zero-copy/options.ts';
import { ShardZeroCopy, type ZeroCopyRing } from '../../src/zero-copy/shard-zero-copy.ts';
import { kernel, network } from '../support/played-network.ts';
import { Model } from '../support/transport-model.ts';

const memory = new ShardMemory(createArena(8 * 1024 * 1024));

function ring(...opcodes: number[]): ZeroCopyRing {
  const supported = new Uint8Array(256);
  for (const opcode of opcodes) supported[opcode] = 1;
  return { probe: () => supported, registerMemory: () => 0 };
}

function zeroCopyOn(kernelRing: ZeroCopyRing, mechanism?: ZeroCopyMechanism): ShardZeroCopy {
  return new ShardZeroCopy(memory, kernelRing, 1, () => 0, { ...(mechanism && { mechanism }) }, 1e6);
}

describe('the mechanism', () => {
  test('is the first that the kernel has', () => {
    expect(zeroCopyOn(ring(IORING_OP.SEND_ZC, IORING_OP.SENDMSG_ZC))).toMatchObject({
      mechanism: 'send_zc',
      hasVectors: true,
    });
    expect(zeroCopyOn(ring(IORING_OP.SEND_ZC))).toMatchObject({ mechanism: 'send_zc', hasVectors: false });
    expect(zeroCopyOn(ring())).toMatchObject({ mechanism: 'msg_zerocopy' });
    expect(zeroCopyOn(ring()).stats().mechanismReason).toBe('the kernel has no SEND_ZC');
    const blind: ZeroCopyRing = { probe: () => -ERRNO.EINVAL, registerMemory: () => 0 };
    expect(zeroCopyOn(blind)).toMatchObject({ mechanism: 'msg_zerocopy' });
  });

  test('falls back step by step when the kernel refuses it after all, once for each step', () => {
    const zeroCopy = zeroCopyOn(ring(IORING_OP.SEND_ZC));
    zeroCopy.fallBack('send_zc', 'the kernel refuses send_zc');
    expect(zeroCopy.stats()).toMatchObject({
      mechanism: 'msg_zerocopy',
      mechanismReason: 'the kernel refuses send_zc',
    });
    // Another connection that had begun with it.
    zeroCopy.fallBack('send_zc', 'again');
    expect(zeroCopy.mechanism).toBe('msg_zerocopy');
    zeroCopy.fallBack('msg_zerocopy', 'the kernel refuses msg_zerocopy');
    expect(zeroCopy.mechanism).toBe('none');
  });

  test('that is asked for is taken', () => {
    expect(zeroCopyOn(ring(IORING_OP.SEND_ZC), 'msg_zerocopy').stats()).toMatchObject({
      mechanism: 'msg_zerocopy',
      mechanismReason: 'asked for',
    });
    expect(zeroCopyOn(ring(IORING_OP.SEND_ZC), 'none').mechanism).toBe('none');
  });
});

describe('a kernel that refuses zero-copy sends at run time', () => {
  for (const errno of [ERRNO.EINVAL, ERRNO.EOPNOTSUPP]) {
    test(`with error ${errno}: the bytes are copied, in order, and nothing is held`, async () => {
      const model = new Model();
      model.write(6000);
      for (let i = 0; i < 20 && model.transport.sendSide.pendingBytes > 0; i++) {
        kernel.tick();
        const opcode = kernel.send?.opcode;
        const isZeroCopy = opcode === IORING_OP.SEND_ZC || opcode === IORING_OP.SENDMSG_ZC;
        kernel.completeSend(isZeroCopy ? -errno : Number.MAX_SAFE_INTEGER, false);
        network.invariants();
      }
      expect(model.checkSent()).toBe(6000);
      expect(network.zeroCopy.counters).toMatchObject({ inFlight: 0, heldBytes: 0, sends: 0 });
      await model.finish();
    });
  }

  test('later connections do not try it', async () => {
    expect(network.zeroCopy.mechanism).toBe('msg_zerocopy');
    // There is no such socket: it cannot be told to send without copies.
    network.zeroCopy.hooks = null;
    const model = new Model();
    model.write(6000);
    kernel.tick();
    expect([IORING_OP.SEND, IORING_OP.SENDMSG]).toContain(kernel.send?.opcode);
    await model.finish();
  });
});
