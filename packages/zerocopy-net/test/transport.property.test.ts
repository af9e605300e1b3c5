import { ERRNO, IORING_OP } from '@sunstar/runtime';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { TransportState } from '../src/transport.ts';
import { kernel } from './support/played-network.ts';
import { expectReached, Model, newReached, transportProperty } from './support/transport-model.ts';

test('whatever order operations complete in, bytes keep their order and nothing is freed or closed early', async () => {
  const reached = newReached();
  await fc.assert(transportProperty(reached), { numRuns: 1000 });
  expectReached(reached);
});

test('close sends all output and FIN before the descriptor closes', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.integer({ min: 1, max: 3000 }), { minLength: 0, maxLength: 3 }),
      fc.infiniteStream(fc.integer({ min: 1, max: 4000 })),
      fc.boolean(),
      fc.boolean(),
      async (writes, takes, peerEndsFirst, paused) => {
        const model = new Model();
        if (paused && !peerEndsFirst) {
          model.transport.receiveSide.pause();
          const receive = kernel.find(IORING_OP.RECV);
          if (receive !== undefined) kernel.complete(receive, -ERRNO.ECANCELED);
        }
        for (const length of writes) model.write(length);
        if (peerEndsFirst) {
          const receive = kernel.find(IORING_OP.RECV);
          if (receive !== undefined) kernel.complete(receive, 0);
        }
        model.transport.close();
        for (let i = 0; i < 400 && model.transport.state < TransportState.Lingering; i++) {
          kernel.tick();
          const taken = takes.next();
          if (taken.done !== true) kernel.completeSend(taken.value);
          if (i % 3 === 0) kernel.notify(i);
          const shutdown = kernel.find(IORING_OP.SHUTDOWN);
          if (shutdown !== undefined) {
            expect(model.checkSent()).toBe(model.written);
            kernel.finSent = true;
            kernel.complete(shutdown, 0);
          }
        }
        expect(model.checkSent()).toBe(model.written);
        expect(kernel.finSent).toBe(!peerEndsFirst);
        if (!peerEndsFirst) {
          // Unread input is thrown away until the peer's FIN.
          expect(model.transport.state).toBe(TransportState.Lingering);
          model.receive([100], true);
          expect(model.delivered).toBe(0);
          const receive = kernel.find(IORING_OP.RECV);
          expect(receive).toBeDefined();
          if (receive !== undefined) kernel.complete(receive, 0);
        }
        kernel.tick();
        for (let i = kernel.notifications.length; i > 0; i--) {
          await model.closeDescriptors();
          expect(model.closes).toBe(0);
          kernel.notify(i);
        }
        kernel.tick();
        await model.closeDescriptors();
        expect(model.closes).toBe(1);
        expect(model.error).toBeNull();
        expect(model.stats.forcedCloses + model.stats.resets).toBe(0);
        await model.finish();
      },
    ),
    { numRuns: 300 },
  );
});
