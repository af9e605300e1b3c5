import type { SchedulingGroup } from '@sunstar/runtime';
import { describe, expect, it } from 'vitest';
import { DmaFile } from '../src/index.js';
import { scratch } from './support.js';

const { path, shard } = scratch();
const KIB = 1024;
const background: SchedulingGroup = shard.groups.create({ name: 'background', ioShares: 10 });

async function codeOf(promise: Promise<unknown>): Promise<string> {
  try {
    await promise;
    return 'no error';
  } catch (error) {
    return (error as { code: string }).code;
  }
}

async function withFile(name: string, use: (file: DmaFile) => Promise<void>, options = {}): Promise<void> {
  const file = await DmaFile.open(path(name), { flags: 'w+', ...options });
  try {
    await file.write(0, Buffer.alloc(1024 * KIB, 7));
    await use(file);
  } finally {
    await file.close();
  }
}

describe('file operations and the I/O scheduler', () => {
  it('count for the group that asked', async () => {
    await withFile('groups', async (file) => {
      if (!file.isDirect) return;
      const of = (id: number): number =>
        shard.io
          .stats()
          .reduce((sum, one) => sum + (one.groups.find((each) => each.groupId === id)?.bytes ?? 0), 0);
      const before = [of(0), of(background.id)];
      const writing = background.run(() => file.write(0, Buffer.alloc(512 * KIB, 1)));
      using content = await file.read(512 * KIB, 64 * KIB);
      expect(content.sizeBytes).toBe(64 * KIB);
      await writing;
      expect(of(0) - before[0]).toBe(64 * KIB);
      expect(of(background.id) - before[1]).toBe(512 * KIB);
      const [latency] = shard.io.stats()[0].latencies;
      expect(latency.count).toBeGreaterThan(0);
      expect(latency.p50Ms).toBeLessThanOrEqual(latency.p99Ms);
    });
  });

  it('are ended by their signal while they wait, and not when the device has them', async () => {
    await withFile(
      'signals',
      async (file) => {
        const controller = new AbortController();
        const { signal } = controller;
        const first = file.readInto(0, 0, 0);
        await first;
        const memory = shard.memory.allocateAligned(4 * KIB, 4096);
        const running = file.readInto(0, memory, 4 * KIB, { signal });
        const waiting = [
          codeOf(file.readInto(0, memory, 4 * KIB, { signal })),
          codeOf(file.read(0, 300 * KIB, { signal })),
          codeOf(file.write(0, Buffer.alloc(300 * KIB), { signal })),
        ];
        controller.abort(new Error('enough'));
        expect(await Promise.all(waiting)).toEqual(Array(3).fill('SUNSTAR_ABORTED'));
        expect(await running).toBe(4 * KIB);
        expect(await codeOf(file.read(0, 1, { signal }))).toBe('SUNSTAR_ABORTED');
        expect(await codeOf(file.write(0, Buffer.alloc(4 * KIB), { signal }))).toBe('SUNSTAR_ABORTED');
        shard.memory.free(memory);
        file.invariants();
      },
      { depth: 1 },
    );
  });

  it('are refused when what was learned of the device cannot meet their deadline', async () => {
    await withFile('deadlines', async (file) => {
      if (!file.isDirect) return;
      for (let i = 0; i < 40; i++) (await file.read(0, 4 * KIB))[Symbol.dispose]();
      const operations = (): number =>
        shard.io
          .stats()
          .reduce((sum, one) => sum + one.groups.reduce((all, each) => all + each.operations, 0), 0);
      const before = operations();
      expect(await codeOf(file.read(0, 4 * KIB, { deadlineMs: 0.0001 }))).toBe('SUNSTAR_DEADLINE_UNMEETABLE');
      expect(operations()).toBe(before);
      (await file.read(0, 4 * KIB, { deadlineMs: 60_000 }))[Symbol.dispose]();
      expect(operations()).toBe(before + 1);
      for (const deadlineMs of [0, -1, Number.NaN]) {
        expect(await codeOf(file.read(0, 4 * KIB, { deadlineMs }))).toBe('SUNSTAR_INVALID_OPTION');
      }
    });
  });

  it('wait for room, or fail, as the file was opened', async () => {
    const many = (file: DmaFile): Promise<string[]> =>
      Promise.all(
        Array.from({ length: 40 }, (_, i) => codeOf(file.write(i * 4 * KIB, Buffer.alloc(4 * KIB, i)))),
      );
    await withFile(
      'waits',
      async (file) => {
        expect(new Set(await many(file))).toEqual(new Set(['no error']));
        file.invariants();
      },
      { depth: 2, maxQueued: 3, whenFull: 'wait' },
    );
    await withFile(
      'fails',
      async (file) => {
        const codes = await many(file);
        expect(codes.filter((code) => code === 'SUNSTAR_FILE_BUSY')).toHaveLength(35);
        shard.io.configure({ maxQueuedPerGroup: 1, maxInFlight: 1 });
        try {
          if (file.isDirect) expect(await many(file)).toContain('SUNSTAR_IO_QUEUE_FULL');
        } finally {
          shard.io.configure({ maxQueuedPerGroup: 65_536, maxInFlight: 4096 });
        }
      },
      { depth: 2, maxQueued: 3 },
    );
    expect(await codeOf(DmaFile.open(path('x'), { flags: 'w', whenFull: 'never' as 'wait' }))).toBe(
      'SUNSTAR_INVALID_OPTION',
    );
  });

  it('no longer wait when the file is closed', async () => {
    const file = await DmaFile.open(path('closing'), {
      flags: 'w+',
      depth: 1,
      maxQueued: 0,
      whenFull: 'wait',
    });
    const writes = Array.from({ length: 3 }, (_, i) => codeOf(file.write(i * 4096, Buffer.alloc(4096))));
    await file.close();
    expect(await Promise.all(writes)).toEqual(['no error', 'SUNSTAR_FILE_CLOSED', 'SUNSTAR_FILE_CLOSED']);
  });
});
