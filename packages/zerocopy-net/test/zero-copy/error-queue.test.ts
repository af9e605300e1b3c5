import { native } from '@sunstar/native';
import { type Completion, ERRNO, IORING_CQE_F } from '@sunstar/runtime';
import { afterEach, expect, test, vi } from 'vitest';
import type { NetworkShard } from '../../src/network.ts';
import { ErrorQueue } from '../../src/zero-copy/error-queue.ts';

afterEach(() => vi.restoreAllMocks());

/** An error queue over a reactor that only counts, and what its owner hears. */
function watched(): { queue: ErrorQueue; polls: Completion[]; cancels: number[]; heard: string[] } {
  const polls: Completion[] = [];
  const cancels: number[] = [];
  const heard: string[] = [];
  const reactor = {
    submit: (completion: Completion) => polls.push(completion),
    cancel: (id: number) => cancels.push(id),
  } as unknown as NetworkShard['reactor'];
  const queue = new ErrorQueue(reactor, 3, {
    mayRead: true,
    rangeNotified: (first, last, isCopied) => heard.push(`${first}-${last}${isCopied ? ' copied' : ''}`),
    batchEnded: (count) => heard.push(`${count} taken`),
    watchEnded: () => heard.push('ended'),
  });
  queue.watch();
  return { queue, polls, cancels, heard };
}

/** The kernel's queue: one range for each number. */
function holds(count: number): void {
  let next = 0;
  vi.spyOn(native, 'readZeroCopyNotifications').mockImplementation((_fd, ranges) => {
    let taken = 0;
    for (; next < count && taken < ranges.length / 3; next++) ranges.set([next, next, next % 2], 3 * taken++);
    return taken;
  });
}

// The poll reports an arrival once: what stays behind would wait for the next one.
test.each([0, 1, 63, 64, 65, 128, 1000])('all of %i notifications are taken at one wake-up', (count) => {
  const { polls, heard } = watched();
  holds(count);
  polls[0].complete(8, IORING_CQE_F.MORE);
  const expected = Array.from({ length: count }, (_, i) => `${i}-${i}${i % 2 === 1 ? ' copied' : ''}`);
  expect(heard).toEqual([...expected, `${count} taken`]);
  expect(polls).toHaveLength(1);
});

test('a poll that the kernel ended by itself is armed again', () => {
  const { queue, polls, heard } = watched();
  holds(1);
  polls[0].complete(8, 0);
  expect(heard).toEqual(['0-0', '1 taken']);
  expect(queue.isArmed).toBe(true);
  expect(polls).toHaveLength(2);
});

test('one that was stopped ends, and says so', () => {
  const { queue, polls, cancels, heard } = watched();
  queue.stop();
  expect(cancels).toHaveLength(1);
  polls[0].complete(-ERRNO.ECANCELED, 0);
  expect(heard).toEqual(['ended']);
  expect(queue.isArmed).toBe(false);
});
