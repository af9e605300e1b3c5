import { closeSync, openSync, readdirSync } from 'node:fs';
import { createArena, ShardMemory } from '@sunstar/runtime';
import { expect, test } from 'vitest';
import type { BalancedAcceptor } from '../../src/balance/balanced-acceptor.ts';
import { Balancer, inodeOf, Taken } from '../../src/balance/balancer.ts';
import type { Listener } from '../../src/listener.ts';
import { Network } from '../../src/network.ts';
import { FakeKernel } from '../support/fake-kernel.ts';

const memory = new ShardMemory(createArena(8 * 1024 * 1024));
const kernel = new FakeKernel(memory);
kernel.shard.reactor.close = (fd: number) => closeSync(fd);
const network = new Network(kernel.shard, { receiveBufferBytes: 512, receiveBufferCount: 8 });

const descriptorCount = (): number => readdirSync('/proc/self/fd').length;
const BOUND = { address: '127.0.0.1', port: 80 };

function serving(): { balancer: Balancer; accepted: number[] } {
  const balancer = new Balancer(network);
  const accepted: number[] = [];
  const listener = { accept: (fd: number) => accepted.push(fd) } as unknown as Listener;
  balancer.serve('key', listener, BOUND, 0);
  return { balancer, accepted };
}

test('a connection is taken with a descriptor of its own', () => {
  const { balancer, accepted } = serving();
  const fd = openSync('/dev/null', 'r');
  expect(balancer.take('key', fd, inodeOf(fd))).toBe(Taken.Yes);
  expect(accepted).toHaveLength(1);
  expect(accepted[0]).not.toBe(fd);
  expect(inodeOf(accepted[0])).toBe(inodeOf(fd));
  closeSync(fd);
  closeSync(accepted[0]);
});

test('a number that means another file by now is not taken, and leaves nothing open', () => {
  const { balancer, accepted } = serving();
  const fd = openSync('/dev/null', 'r');
  const before = descriptorCount();
  expect(balancer.take('key', fd, inodeOf(fd) + 1)).toBe(Taken.Gone);
  const inode = inodeOf(fd);
  closeSync(fd);
  expect(balancer.take('key', fd, inode)).toBe(Taken.Gone);
  expect(accepted).toEqual([]);
  expect(descriptorCount()).toBe(before - 1);
});

test('a shard that does not listen there takes nothing', () => {
  const { balancer, accepted } = serving();
  const fd = openSync('/dev/null', 'r');
  expect(balancer.take('another', fd, inodeOf(fd))).toBe(Taken.NotServing);
  balancer.unserve('key');
  expect(balancer.take('key', fd, inodeOf(fd))).toBe(Taken.NotServing);
  expect(accepted).toEqual([]);
  closeSync(fd);
});

test('who asks before the acceptor listens is told when it does, or why it cannot', async () => {
  const balancer = new Balancer(network);
  const early = balancer.whenOpen('key');
  const failed = balancer.whenOpen('other');
  balancer.opened('key', BOUND as unknown as BalancedAcceptor);
  const error = new Error('the port is in use');
  balancer.failed('other', error);
  expect(await early).toEqual(BOUND);
  expect(await balancer.whenOpen('key')).toEqual(BOUND);
  await expect(failed).rejects.toBe(error);
  await expect(balancer.whenOpen('other')).rejects.toBe(error);
});
