import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import type { RingSupport } from '@sunstar/native';
import { describe, expect, it } from 'vitest';
import { chooseBackend } from '../../src/reactor/backend.js';
import { IORING_OP } from '../../src/reactor/constants.js';

const EPERM = 1;
const ENOMEM = 12;
const ENOSYS = 38;

/** What a kernel offers that has everything but some operations. */
function kernelWithout(...names: (keyof typeof IORING_OP)[]): () => RingSupport {
  const operations = new Uint8Array(256).fill(1);
  for (const name of names) operations[IORING_OP[name]] = 0;
  return () => ({ features: (1 << 0) | (1 << 1) | (1 << 8), operations });
}

const refuses = (errno: number) => () => -errno;

describe('the choice of a backend', () => {
  it('is io_uring where it can be used', () => {
    expect(chooseBackend('auto', {}, kernelWithout())).toMatchObject({
      backend: 'io_uring',
      obstacle: undefined,
    });
    expect(chooseBackend(undefined, {}, kernelWithout()).backend).toBe('io_uring');
  });

  it('is the emulation where io_uring is forbidden or missing, with the reason', () => {
    expect(chooseBackend('auto', {}, refuses(EPERM))).toMatchObject({
      backend: 'emulated',
      reason: expect.stringMatching(/seccomp/),
      obstacle: { code: 'SUNSTAR_IO_URING_FORBIDDEN' },
    });
    expect(chooseBackend('auto', {}, refuses(ENOSYS)).obstacle?.code).toBe('SUNSTAR_KERNEL_UNSUPPORTED');
    const mute = (): RingSupport => ({ features: 0, operations: -EPERM });
    expect(chooseBackend('auto', {}, mute).reason).toMatch(/cannot tell/);
  });

  it('is the emulation on a kernel that lacks operations, which are named', () => {
    const choice = chooseBackend('auto', {}, kernelWithout('MSG_RING', 'SEND_ZC'));
    expect(choice.backend).toBe('emulated');
    expect(choice.reason).toMatch(/wake-ups between shards.*5\.18.*provided buffers.*6\.0/);
  });

  it('is no reason to go on in silence when a ring fails for want of memory', () => {
    for (const option of ['auto', 'io_uring'] as const) {
      expect(() => chooseBackend(option, {}, refuses(ENOMEM))).toThrow(
        expect.objectContaining({ code: 'SUNSTAR_LOCKED_MEMORY' }),
      );
    }
  });

  it('is what was asked for, or an error', () => {
    expect(chooseBackend('io_uring', {}, kernelWithout()).backend).toBe('io_uring');
    expect(() => chooseBackend('io_uring', {}, refuses(EPERM))).toThrow(
      expect.objectContaining({ code: 'SUNSTAR_IO_URING_FORBIDDEN' }),
    );
    expect(chooseBackend('emulated', {}, kernelWithout())).toMatchObject({
      backend: 'emulated',
      reason: expect.stringMatching(/option/),
      obstacle: undefined,
    });
  });

  it('follows the environment before the option', () => {
    const environment = { SUNSTAR_BACKEND: 'emulated' };
    expect(chooseBackend('io_uring', environment, kernelWithout())).toMatchObject({
      backend: 'emulated',
      reason: expect.stringMatching(/SUNSTAR_BACKEND/),
    });
    expect(() => chooseBackend('emulated', { SUNSTAR_BACKEND: 'io_uring' }, refuses(EPERM))).toThrow(
      /seccomp/,
    );
    expect(chooseBackend('emulated', { SUNSTAR_BACKEND: '' }, kernelWithout()).reason).toMatch(/option/);
  });

  it.each([
    ['`backend`', 'epoll', {}],
    ['SUNSTAR_BACKEND', 'auto', { SUNSTAR_BACKEND: 'epoll' }],
  ])('names a wrong %s', (name, option, environment) => {
    expect(() => chooseBackend(option as 'auto', environment, kernelWithout())).toThrow(
      expect.objectContaining({
        code: 'SUNSTAR_INVALID_OPTION',
        message: expect.stringContaining(`${name} is "epoll"`),
      }),
    );
  });
});

describe('where a seccomp filter forbids io_uring', () => {
  const fixtures = new URL('../fixtures/', import.meta.url);

  async function run(backend: string): Promise<{ answer: unknown; log: Record<string, unknown>[] }> {
    const parameters = [
      new URL('without_io_uring.py', fixtures).pathname,
      process.execPath,
      new URL('forbidden.mjs', fixtures).pathname,
      backend,
    ];
    const env = { ...process.env, SUNSTAR_BACKEND: '' };
    const { stdout, stderr } = await promisify(execFile)('python3', parameters, { env });
    const log = stderr.split('\n').filter((line) => line.startsWith('{'));
    return {
      answer: JSON.parse(stdout),
      log: log.map((line) => JSON.parse(line) as Record<string, unknown>),
    };
  }

  it('shards start, read files, connect and call each other all the same; one line says why and what to do', async () => {
    const { answer, log } = await run('auto');
    expect(answer).toEqual({
      main: 'emulated',
      shards: ['emulated', 'emulated'],
      read: 'forbidden',
      sums: [3, 3],
      report: expect.stringMatching(/^backend emulated: .*seccomp/),
      metric: 'sunstar_reactor_backend{backend="emulated",shard="1"} 1',
    });
    const lines = log.filter(({ code }) => code === 'SUNSTAR_ADVICE_EMULATED');
    expect(lines).toEqual([
      expect.objectContaining({
        level: 40,
        msg: expect.stringMatching(/emulated.*seccomp/),
        remedy: expect.stringMatching(/Allow/),
      }),
    ]);
  });

  it('io_uring fails with one clear error when it is asked for', async () => {
    const { answer } = await run('io_uring');
    expect(answer).toMatchObject({ code: 'SUNSTAR_IO_URING_FORBIDDEN', syscall: 'io_uring_setup' });
  });
});
