import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, statfsSync, unlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DirectoryStorage, Log } from '@sunstar/dma-file';
import { SunstarError } from '@sunstar/runtime';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { canMountAs, FILE_SYSTEMS, mountImage, scratch, unmount } from '../support.js';

scratch();

const MIB = 1 << 20;
const OPTIONS = { segmentBytes: MIB, maxRecycled: 0 };

// Needs root and loop devices, which a container seldom has.
describe.each(FILE_SYSTEMS)('a log on a small $name', ({ name: fileSystem, mebibytes }) => {
  const it = test.runIf(canMountAs(fileSystem));
  let directory = '';
  let point = '';

  beforeAll(() => {
    directory = mkdtempSync(join(tmpdir(), 'sunstar-full-log-'));
    if (canMountAs(fileSystem)) point = mountImage(directory, mebibytes, 'loop', fileSystem);
  });
  afterAll(() => {
    if (point !== '') unmount(point, true);
    rmSync(directory, { recursive: true });
  });

  /** Leaves so much on the disk. */
  const leave = (name: string, bytes: number): void => {
    const { bavail, bsize } = statfsSync(point);
    execFileSync('fallocate', ['-l', String(bavail * bsize - bytes), join(point, name)]);
  };

  // A batch of the second size is where a roll, and its new segment, come at another distance from the end.
  it.each([30_000, 77_777])(
    'of batches of %i bytes: refuses, loses nothing that it took, goes on when there is space, and is whole after',
    async (batchBytes) => {
      const path = join(point, `log-${batchBytes}`);
      mkdirSync(path);
      writeFileSync(join(point, 'ballast'), Buffer.alloc(3 * MIB));
      leave('filling', 4 * MIB + (batchBytes % 1000) * 100);
      let log = await Log.open(new DirectoryStorage(path), OPTIONS);
      let accepted = 0;
      let durable = 0;
      const fill = async (): Promise<string> => {
        for (;;) {
          try {
            await log.append(Buffer.alloc(batchBytes, accepted & 0xff));
            accepted++;
            durable = await log.flush();
          } catch (error) {
            if (!(error instanceof SunstarError)) throw error;
            return error.code;
          }
        }
      };
      expect(await fill()).toBe('SUNSTAR_ENOSPC');
      expect(accepted).toBeGreaterThan(20);
      // Again and again: whatever it was that had no room.
      for (let i = 0; i < 5; i++) {
        log.retry();
        expect(await fill()).toBe('SUNSTAR_ENOSPC');
      }
      log.invariants();
      expect(log.nextSequence).toBe(accepted);
      const before = accepted;
      unlinkSync(join(point, 'ballast'));
      // ext4 hands freed blocks out only after a commit of its journal.
      for (let i = 0; i < 100 && accepted === before; i++) {
        log.retry();
        await fill();
        await new Promise((resolve) => setTimeout(resolve, 20));
      }
      expect(accepted).toBeGreaterThan(before);
      unlinkSync(join(point, 'filling'));
      for (let i = 0; i < 100 && durable < accepted; i++) {
        log.retry();
        durable = await log.flush().catch(() => durable);
        await new Promise((resolve) => setTimeout(resolve, 20));
      }
      expect(durable).toBe(accepted);
      await log.close();

      log = await Log.open(new DirectoryStorage(path), OPTIONS);
      let next = 0;
      for await (const { sequence, payload } of log.read()) {
        expect(sequence).toBe(next);
        expect(payload.length).toBe(batchBytes);
        expect(payload.every((byte) => byte === (next & 0xff))).toBe(true);
        next++;
      }
      expect(next).toBe(accepted);
      await log.close();
      rmSync(path, { recursive: true });
    },
  );
});
