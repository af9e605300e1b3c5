import { execFileSync } from 'node:child_process';
import { closeSync, constants, mkdtempSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { native } from '@sunstar/native';
import { expect, it, vi } from 'vitest';
import { IORING_OP, IOSQE } from '../../src/reactor/constants.js';
import { RawRing } from './raw-ring.js';

const AT_FDCWD = -100;

const probed = native.probeRing();

it.skipIf(typeof probed === 'number')(
  'what blocks does not have to wait for what blocks already, though a probe was the first ring of the thread',
  async () => {
    const directory = mkdtempSync(join(process.env.TMPDIR ?? '/tmp', 'sunstar-workers-'));
    try {
      const path = join(directory, 'fifo');
      execFileSync('mkfifo', [path]);
      const ring = new RawRing(false);
      ring.memory.set(Buffer.from(`${path}\0`));
      // Each end can be opened only once the other is being opened.
      const ids = [constants.O_RDONLY, constants.O_WRONLY].map((opFlags) =>
        ring.push({
          opcode: IORING_OP.OPENAT,
          fd: AT_FDCWD,
          address: ring.address,
          opFlags,
          sqeFlags: IOSQE.ASYNC,
        }),
      );
      await vi.waitFor(
        () => {
          ring.enter();
          expect(ring.pending.size).toBe(0);
        },
        { timeout: 5000 },
      );
      for (const id of ids) {
        const [[descriptor]] = ring.shots.get(id) ?? [];
        expect(descriptor).toBeGreaterThan(0);
        closeSync(descriptor);
      }
    } finally {
      rmSync(directory, { recursive: true });
    }
  },
);
