import {
  closeSync,
  cpSync,
  existsSync,
  openSync,
  readdirSync,
  statSync,
  truncateSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';
import { DirectoryStorage, Log, type LogOptions, makeDirectory } from '@sunstar/dma-file';
import { IOBuf } from '@sunstar/iobuf';
import { describe, expect, it } from 'vitest';
import { scratch } from '../support.js';

const { path } = scratch();
let directories = 0;

const SMALL: LogOptions = {
  segmentBytes: 65536,
  appender: { allocationStepBytes: 65536, zeroAheadBytes: 0 },
};

async function storage(): Promise<DirectoryStorage> {
  const directory = path(`log-${directories++}`);
  await makeDirectory(directory);
  return new DirectoryStorage(directory);
}

async function payloads(log: Log, from?: number): Promise<string[]> {
  const found = [];
  for await (const batch of log.read(from)) found.push(batch.payload.toString('latin1'));
  return found;
}

function overwrite(file: string, position: number, text: string): void {
  const fd = openSync(file, 'r+');
  writeSync(fd, text, position);
  closeSync(fd);
}

describe('Log', () => {
  it('finds any record by its number, over segments and after it was opened again', async () => {
    const directory = await storage();
    const text = (i: number): string => `${i} ${'x'.repeat((i * 97) % 5000)}`;
    let log = await Log.open(directory, SMALL);
    for (let i = 0; i < 100; i++) {
      if (i % 2 === 0) expect(await log.append(Buffer.from(text(i)), 2)).toBe(i * 2);
      else {
        using payload = IOBuf.from(text(i));
        expect(await log.append(payload, 2)).toBe(i * 2);
      }
    }
    expect(await log.flush()).toBe(200);
    expect(log.stats.segments).toBeGreaterThan(3);
    log.invariants();
    expect(await payloads(log)).toEqual(Array.from({ length: 100 }, (_, i) => text(i)));
    for (const sequence of [0, 1, 57, 120, 121, 199]) {
      const first = Math.floor(sequence / 2);
      expect((await payloads(log, sequence))[0]).toBe(text(first));
      expect(await payloads(log, sequence)).toHaveLength(100 - first);
    }
    expect(await payloads(log, 200)).toEqual([]);
    await log.close();
    log = await Log.open(directory, SMALL);
    expect(log).toMatchObject({ firstSequence: 0, nextSequence: 200, durableSequence: 200 });
    expect(await log.append(Buffer.from('more'))).toBe(200);
    await log.flush();
    expect((await payloads(log, 198)).slice(-2)).toEqual([text(99), 'more']);
    await log.close();
  });

  it('reads no segment after a clean close, and all that matter after another end', async () => {
    const directory = await storage();
    let log = await Log.open(directory, SMALL);
    for (let i = 0; i < 50; i++) await log.append(Buffer.alloc(3000, `${i}`));
    await log.close();
    const files = readdirSync(directory.path).sort();
    const segments = files.filter((name) => name.endsWith('.log'));
    expect(files.filter((name) => name.endsWith('.index'))).toHaveLength(segments.length);
    // Damage that only reading finds: the saved indexes are believed.
    overwrite(join(directory.path, segments[1]), 1000, 'damaged');
    log = await Log.open(directory, SMALL);
    expect(log.nextSequence).toBe(50);
    expect(existsSync(join(directory.path, segments[segments.length - 1].replace('.log', '.index')))).toBe(
      false,
    );
    await expect(payloads(log)).rejects.toMatchObject({ code: 'SUNSTAR_LOG_CORRUPT' });
    await log.close();
  });

  it('ends at the first torn batch, and goes on from there', async () => {
    const directory = await storage();
    let log = await Log.open(directory, SMALL);
    for (let i = 0; i < 10; i++) await log.append(Buffer.from(`batch ${i}`));
    await log.close();
    const [name] = readdirSync(directory.path).filter((file) => file.endsWith('.log'));
    const file = join(directory.path, name);
    for (const name of readdirSync(directory.path)) {
      if (name.endsWith('.index')) truncateSync(join(directory.path, name), 10);
    }
    const { size } = statSync(file);
    overwrite(file, size - 1, '!');
    log = await Log.open(directory, SMALL);
    expect(log.nextSequence).toBe(9);
    expect(await log.append(Buffer.from('again'))).toBe(9);
    await log.flush();
    expect((await payloads(log)).slice(-2)).toEqual(['batch 8', 'again']);
    await log.close();
    truncateSync(file, 100);
    for (const name of readdirSync(directory.path)) {
      if (name.endsWith('.index')) truncateSync(join(directory.path, name), 0);
    }
    log = await Log.open(directory, SMALL);
    expect(await payloads(log)).toEqual(['batch 0']);
    await log.close();
  });

  it('does not find the batches of a dropped segment again, though their numbers would fit', async () => {
    const directory = await storage();
    let log = await Log.open(directory, SMALL);
    // Headers have 40 bytes: every batch ends with a page.
    for (let i = 0; i < 10; i++) await log.append(Buffer.alloc(i === 0 ? 4016 : 4056, 'old'));
    await log.close();
    const [name] = readdirSync(directory.path).filter((file) => file.endsWith('.log'));
    overwrite(join(directory.path, name), 0, 'xxxx');
    for (const name of readdirSync(directory.path)) {
      if (name.endsWith('.index')) truncateSync(join(directory.path, name), 0);
    }
    log = await Log.open(directory, SMALL);
    expect(log.stats.recycled).toBe(1);
    expect(log.nextSequence).toBe(0);
    await log.append(Buffer.alloc(4016, 'new'));
    await log.flush();
    // As after a power cut: behind the new batch there are old ones, and their numbers would follow.
    const copy = path('copy');
    cpSync(directory.path, copy, { recursive: true });
    const other = await Log.open(new DirectoryStorage(copy), SMALL);
    expect(other.nextSequence).toBe(1);
    await other.close();
    await log.close();
  });

  it('lets the oldest segments go by size and by age, and writes their files again', async () => {
    const directory = await storage();
    let nowMs = 1_000_000;
    const log = await Log.open(directory, {
      ...SMALL,
      retentionBytes: 200_000,
      retentionMs: 60_000,
      now: () => nowMs,
    });
    const reader = log.read();
    for (let i = 0; i < 200; i++) {
      await log.append(Buffer.alloc(5000, i));
      if (i === 2) {
        await log.flush();
        expect((await reader.next()).value?.sequence).toBe(0);
      }
    }
    await log.flush();
    const { sizeBytes, recycled } = log.stats;
    expect(sizeBytes).toBeGreaterThan(190_000);
    expect(sizeBytes).toBeLessThan(200_000 + 2 * 65_536);
    expect(recycled).toBeGreaterThan(5);
    expect(log.firstSequence).toBeGreaterThan(100);
    log.invariants();
    // A reader in a segment that went ends it in peace and goes on with the oldest.
    let previous = 0;
    let skipped = 0;
    for await (const batch of reader) {
      if (batch.sequence !== previous + 1) skipped++;
      expect(batch.payload.every((byte) => byte === batch.sequence % 256)).toBe(true);
      previous = batch.sequence;
    }
    expect(previous).toBe(199);
    expect(skipped).toBe(1);
    nowMs += 60_000;
    await log.applyRetention();
    expect(log.stats.segments).toBe(1);
    expect(readdirSync(directory.path).filter((name) => name.startsWith('recycled-'))).toHaveLength(2);
    await log.close();
  });

  it('refuses what it cannot take', async () => {
    const directory = await storage();
    const log = await Log.open(directory, { ...SMALL, maxBatchBytes: 100, maxWaiting: 1, firstSequence: 7 });
    await expect(log.append(Buffer.alloc(101))).rejects.toMatchObject({ code: 'SUNSTAR_BATCH_TOO_LARGE' });
    await expect(log.append(Buffer.alloc(1), 0)).rejects.toMatchObject({ code: 'SUNSTAR_INVALID_OPTION' });
    await log.append(Buffer.from('a'));
    const rolling = log.roll();
    await expect(log.append(Buffer.from('b'))).rejects.toMatchObject({ code: 'SUNSTAR_LOG_FULL' });
    await rolling;
    expect(await log.append(Buffer.from('c'))).toBe(8);
    await log.close();
    await expect(Log.open(directory, { segmentBytes: 1 })).rejects.toMatchObject({
      code: 'SUNSTAR_INVALID_OPTION',
    });
  });

  it('is open only once', async () => {
    const directory = await storage();
    const log = await Log.open(directory, SMALL);
    await expect(Log.open(directory, SMALL)).rejects.toMatchObject({ code: 'SUNSTAR_LOG_LOCKED' });
    await log.close();
    await (await Log.open(directory, SMALL)).close();
  });

  it('becomes durable by itself when its appender flushes by itself', async () => {
    const log = await Log.open(await storage(), { ...SMALL, appender: { flushBytes: 1000 } });
    await log.append(Buffer.alloc(2000));
    while (log.durableSequence === 0) await new Promise((resolve) => setImmediate(resolve));
    await log.close();
  });
});
