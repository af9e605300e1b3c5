import { execFile } from 'node:child_process';
import { closeSync, openSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { promisify } from 'node:util';
import { attach, type Completion, ERRNO, IORING_OP, IOSQE, type SystemError } from '@sunstar/runtime';
import { describe, expect, it } from 'vitest';

const { reactor } = attach({ memory: '16MiB' });
const run = promisify(execFile);

/** Runs statements in a process of their own; resolves with its output and exit code. */
async function script(statements: string): Promise<{ stdout: string; code: unknown }> {
  const source = `import { attach, IORING_OP } from '@sunstar/runtime';\n${statements}`;
  const parameters = ['--input-type=module', '-e', source];
  return run(process.execPath, parameters, { cwd: import.meta.dirname, timeout: 15_000 }).then(
    ({ stdout }) => ({ stdout, code: 0 }),
    (error: { stdout: string; code: unknown }) => ({ stdout: error.stdout, code: error.code }),
  );
}

describe('operations', () => {
  it('resolve with their result', async () => {
    await expect(reactor.run('nop', IORING_OP.NOP, -1, 0, 0, 0)).resolves.toBe(0);
  });

  it('reject with the system call, the error number and a code', async () => {
    const error = await reactor.run('fsync', IORING_OP.FSYNC, 1 << 20, 0, 0, 0).catch((e: SystemError) => e);
    expect(error).toMatchObject({
      name: 'SystemError',
      code: 'SUNSTAR_EBADF',
      syscall: 'fsync',
      errno: ERRNO.EBADF,
    });
  });

  it('may be far more than the submission queue has entries', async () => {
    const count = 20_000;
    let ended = 0;
    await new Promise<void>((resolve) => {
      const completion: Completion = {
        complete(result) {
          expect(result).toBe(0);
          if (++ended === count) resolve();
        },
      };
      for (let i = 0; i < count; i++) reactor.submit(completion, IORING_OP.NOP, -1, 0, 0, 0);
    });
    expect(ended).toBe(count);
  });

  it('are cancelled by their id, once', async () => {
    // Nothing ever comes out of this: /dev/ptmx without a slave's output.
    const fd = openSync('/dev/ptmx', 'r+');
    const pending = new Promise<number>((resolve) => {
      const id = reactor.submit({ complete: resolve }, IORING_OP.POLL_ADD, fd, 0, 0, 0, 1);
      setTimeout(() => {
        reactor.cancel(id);
        reactor.cancel(id);
      }, 5);
    });
    await expect(pending).resolves.toBe(-ERRNO.ECANCELED);
    closeSync(fd);
  });

  it('that are linked run one after the other', async () => {
    const order: string[] = [];
    await new Promise<void>((resolve) => {
      const step = (name: string, last: boolean): Completion => ({
        complete() {
          order.push(name);
          if (last) resolve();
        },
      });
      reactor.submit(step('first', false), IORING_OP.NOP, -1, 0, 0, 0, 0, IOSQE.IO_LINK);
      reactor.submit(step('second', true), IORING_OP.NOP, -1, 0, 0, 0);
    });
    expect(order).toEqual(['first', 'second']);
  });
});

describe('defer', () => {
  it('runs a task once, before the operations that it queues are submitted, from inside and outside a tick', async () => {
    for (const inside of [true, false]) {
      let runs = 0;
      await new Promise<void>((resolve) => {
        const task: Completion = {
          complete() {
            runs++;
            reactor.submit({ complete: () => resolve() }, IORING_OP.NOP, -1, 0, 0, 0);
          },
        };
        if (inside) reactor.submit({ complete: () => reactor.defer(task) }, IORING_OP.NOP, -1, 0, 0, 0);
        else reactor.defer(task);
      });
      expect(runs).toBe(1);
    }
  });

  it('runs a task that defers itself again in the next tick, without starving the rest', async () => {
    let runs = 0;
    const task: Completion = {
      complete() {
        if (++runs < 100) reactor.defer(task);
      },
    };
    reactor.defer(task);
    let turns = 0;
    while (runs < 100) {
      await new Promise((resolve) => setTimeout(resolve, 1));
      turns++;
    }
    expect(turns).toBeGreaterThan(0);
  });
});

describe('the rest of Node', () => {
  it('goes on working: timers, immediates, files, HTTP, while the ring is busy', async () => {
    let stop = false;
    let rounds = 0;
    const busy: Completion = {
      complete() {
        rounds++;
        if (!stop) reactor.submit(busy, IORING_OP.NOP, -1, 0, 0, 0);
      },
    };
    reactor.submit(busy, IORING_OP.NOP, -1, 0, 0, 0);
    const server = createServer((_, response) => response.end('hello'));
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const { port } = server.address() as AddressInfo;
    const text = await (await fetch(`http://127.0.0.1:${port}`)).text();
    expect(text).toBe('hello');
    expect((await readFile('/proc/self/comm', 'utf8')).length).toBeGreaterThan(0);
    await new Promise((resolve) => setTimeout(resolve, 5));
    await new Promise((resolve) => setImmediate(resolve));
    stop = true;
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
    expect(rounds).toBeGreaterThan(10);
  });

  it('ends when nothing is pending, and not before', async () => {
    const { stdout, code } = await script(`
      const { reactor } = attach();
      process.on('exit', () => console.log('end'));
      await reactor.run('nop', IORING_OP.NOP, -1, 0, 0, 0);
      console.log('nop');
      setTimeout(() => console.log('timer'), 20);
    `);
    expect({ stdout, code }).toEqual({ stdout: 'nop\ntimer\nend\n', code: 0 });
  });

  it('stays alive for a deferred task', async () => {
    const { stdout } = await script(`
      const { reactor } = attach();
      reactor.defer({ complete() {
        reactor.defer({ complete() { console.log('deferred'); } });
      } });
    `);
    expect(stdout).toBe('deferred\n');
  });

  it('stays alive for a reference, and for an operation in flight', async () => {
    const { stdout } = await script(`
      const { reactor } = attach();
      reactor.ref();
      setTimeout(() => { console.log('referenced'); reactor.unref(); }, 30).unref();
    `);
    expect(stdout).toBe('referenced\n');
  });

  it('stays alive for an operation that follows a wake-up of another shard', async () => {
    const { stdout } = await script(`
      const { reactor, memory } = attach({ memory: '16MiB' });
      const at = memory.allocate(16);
      new BigInt64Array(memory.bytes.buffer, memory.bytes.byteOffset + at, 2).set([0n, 50_000_000n]);
      setImmediate(() => {
        reactor.wake(reactor.ringFd);
        const timeOut = { complete: () => console.log('over') };
        reactor.submit(timeOut, IORING_OP.TIMEOUT, -1, memory.arena.address + at, 1, 0);
      });
    `);
    expect(stdout).toBe('over\n');
  });

  it('hears of an error thrown by a completion as an uncaught exception, and goes on', async () => {
    const { stdout, code } = await script(`
      const { reactor } = attach();
      process.on('uncaughtException', (error) => console.log('uncaught', error.message));
      reactor.submit({ complete() { throw new Error('one'); } }, IORING_OP.NOP, -1, 0, 0, 0);
      reactor.submit({ complete() { console.log('two'); } }, IORING_OP.NOP, -1, 0, 0, 0);
      reactor.defer({ complete() { throw new Error('three'); } });
      reactor.defer({ complete() { console.log('four'); } });
    `);
    expect(code).toBe(0);
    expect(stdout.trim().split('\n').sort()).toEqual(['four', 'two', 'uncaught one', 'uncaught three']);
  });

  it('hears of an error thrown by a continuation', async () => {
    const { stdout, code } = await script(`
      const { reactor } = attach();
      process.on('uncaughtException', (error) => console.log('uncaught', error.message));
      process.on('unhandledRejection', (error) => console.log('unhandled', error.message));
      reactor.run('nop', IORING_OP.NOP, -1, 0, 0, 0).then(() => { throw new Error('rejected'); });
      reactor.run('nop', IORING_OP.NOP, -1, 0, 0, 0).then(() => process.nextTick(() => { throw new Error('ticked'); }));
      await reactor.run('nop', IORING_OP.NOP, -1, 0, 0, 0);
      setTimeout(() => console.log('alive'), 10);
    `);
    expect(code).toBe(0);
    expect(stdout.trim().split('\n').sort()).toEqual(['alive', 'uncaught ticked', 'unhandled rejected']);
  });
});
