import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { native } from '@sunstar/native';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { HandOver } from '../../src/life-cycle/hand-over.ts';
import { MAX_SOCKETS, socketPath } from '../../src/life-cycle/hand-over-protocol.ts';
import type { ListeningSocket } from '../../src/life-cycle/listening-sockets.ts';
import { TakeOver } from '../../src/life-cycle/take-over.ts';
import type { Logger } from '../../src/log.ts';

let directory: string;
beforeEach(() => {
  directory = join(mkdtempSync(join(tmpdir(), 'sunstar-hand-over-')), 'run');
});
afterEach(() => rmSync(join(directory, '..'), { recursive: true }));

/** Waits for a successor with the sockets that it is given; `events` says what became of it. */
async function waiting(
  sockets: () => readonly ListeningSocket[],
): Promise<{ handOver: HandOver; events: string[] }> {
  const events: string[] = [];
  const say = (_details: unknown, text?: string): void => void events.push(text ?? String(_details));
  const log = { warn: say, info: say, error: say } as unknown as Logger;
  const handOver = await HandOver.listen({
    directory,
    log,
    collect: async () => sockets(),
    handedOver: () => events.push('handedOver()'),
    gaveUp: () => events.push('gaveUp()'),
  });
  return { handOver, events };
}

/** A successor's end of the connection; TakeOver would block the thread that is to answer. */
function connect(): number {
  const fd = native.unixConnect(socketPath(directory), 1000);
  expect(fd).toBeGreaterThan(0);
  return fd;
}

async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await new Promise((resolve) => setTimeout(resolve, 2));
}

test('a successor that ends before it serves is told of, and the next one may come', async () => {
  const { handOver, events } = await waiting(() => []);
  for (let round = 1; round <= 3; round++) {
    native.closeDescriptor(connect());
    await until(() => events.filter((event) => event === 'gaveUp()').length === round);
  }
  expect(events).not.toContain('handedOver()');
  handOver.close();
});

test('more sockets than can be handed over: this process goes on, and leaves nothing open', async () => {
  const open = new Set<number>();
  const { handOver, events } = await waiting(() =>
    Array.from({ length: MAX_SOCKETS + 1 }, (_, i) => {
      // Not so many of them are real that a limit of descriptors would matter.
      if (i >= 64) return { fd: -1, host: '127.0.0.1', port: 1 };
      const fd = native.duplicateDescriptor(1);
      open.add(fd);
      return { fd, host: '127.0.0.1', port: 1 };
    }),
  );
  const fd = connect();
  await until(() => events.includes('gaveUp()'));
  expect(events).toContain('the listening sockets could not be handed over: this process goes on');
  expect(open.size).toBe(64);
  for (const one of open) expect(native.duplicateDescriptor(one)).toBeLessThan(0);
  native.closeDescriptor(fd);
  handOver.close();
});

test('nobody to take over from is no error', () => {
  expect(TakeOver.connect(directory)).toBeUndefined();
});
