import { execFile } from 'node:child_process';
import { once } from 'node:events';
import net from 'node:net';
import { promisify } from 'node:util';
import { attach, ERRNO, IORING_OP } from '@sunstar/runtime';
import { describe, expect, it } from 'vitest';

// Sends on a socket of Node's, which does not mind as long as it writes nothing itself.

const { reactor, memory } = attach({ memory: '16MiB' });
const run = promisify(execFile);
const MSG_NOSIGNAL = 0x4000;
const AT_ONCE = MSG_NOSIGNAL | 0x40 | 0x100;
const SIZE_BYTES = 65_536;
const offset = memory.allocate(SIZE_BYTES);
const address = memory.arena.address + offset;
memory.bytes.fill(7, offset, offset + SIZE_BYTES);

interface Pair {
  readonly fd: number;
  readonly near: net.Socket;
  readonly far: net.Socket;
}

async function pair(): Promise<Pair> {
  const server = net.createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const accepted = once(server, 'connection') as Promise<[net.Socket]>;
  const near = net.connect((server.address() as net.AddressInfo).port, '127.0.0.1');
  await once(near, 'connect');
  const [far] = await accepted;
  server.close();
  for (const socket of [near, far]) socket.on('error', () => {});
  const { _handle } = near as unknown as { readonly _handle: { readonly fd: number } };
  return { fd: _handle.fd, near, far };
}

function end({ near, far }: Pair): void {
  near.destroy();
  far.destroy();
}

function sendAtOnce(fd: number, length: number): Promise<number> {
  return new Promise((resolve) => {
    reactor.submitAtOnce({ complete: resolve }, IORING_OP.SEND, fd, address, length, AT_ONCE, length);
    reactor.requestTick();
  });
}

/** Fills the socket and says how many bytes it took in all, the last send in part or not at all. */
async function fill(fd: number): Promise<{ readonly total: number; readonly last: number }> {
  let total = 0;
  for (;;) {
    const last = await sendAtOnce(fd, SIZE_BYTES);
    if (last > 0) total += last;
    if (last < SIZE_BYTES) return { total, last };
  }
}

describe('an operation that is over at once', () => {
  it('tells its success, although the kernel says nothing of it', async () => {
    const sockets = await pair();
    const { completed } = reactor.stats;
    const arrived = once(sockets.far, 'data') as Promise<[Buffer]>;
    await expect(sendAtOnce(sockets.fd, 5)).resolves.toBe(5);
    expect((await arrived)[0]).toEqual(Buffer.alloc(5, 7));
    expect(reactor.stats.completed).toBeGreaterThan(completed);
    end(sockets);
  });

  it('tells of a failure that came after the look at the queue, in the middle of a tick', async () => {
    const results: number[] = [];
    await new Promise<void>((resolve) => {
      const completion = {
        complete: (value: number): void => {
          results.push(value);
          resolve();
        },
      };
      const inTheTick = {
        complete: (): void => {
          reactor.submitAtOnce(completion, IORING_OP.SEND, 1 << 20, address, 5, AT_ONCE, 5);
          reactor.submitNow();
        },
      };
      reactor.submit(inTheTick, IORING_OP.NOP, -1, 0, 0, 0);
    });
    await reactor.run('nop', IORING_OP.NOP, -1, 0, 0, 0);
    expect(results).toEqual([-ERRNO.EBADF]);
  });

  it('tells of its failure, once', async () => {
    let calls = 0;
    const result = await new Promise<number>((resolve) => {
      reactor.submitAtOnce(
        {
          complete(value) {
            calls++;
            resolve(value);
          },
        },
        IORING_OP.SEND,
        1 << 20,
        address,
        5,
        AT_ONCE,
        5,
      );
    });
    await reactor.run('nop', IORING_OP.NOP, -1, 0, 0, 0);
    expect(result).toBe(-ERRNO.EBADF);
    expect(calls).toBe(1);
  });

  it('tells how much of it a full socket took, and the bytes arrive once', async () => {
    const sockets = await pair();
    sockets.far.pause();
    const { total, last } = await fill(sockets.fd);
    if (last < 0) expect(last).toBe(-ERRNO.EAGAIN);
    let arrivedBytes = 0;
    sockets.far.on('data', (data) => {
      arrivedBytes += data.length;
    });
    sockets.far.resume();
    sockets.near.end();
    await once(sockets.far, 'end');
    expect(arrivedBytes).toBe(total);
    end(sockets);
  });

  it('keeps its order among others, whether they fail or not, more of them than the queue has entries', async () => {
    const sockets = await pair();
    sockets.far.resume();
    const count = 3000;
    const results: number[] = [];
    await new Promise<void>((resolve) => {
      for (let i = 0; i < count; i++) {
        const fd = i % 7 === 3 ? 1 << 20 : sockets.fd;
        reactor.submitAtOnce(
          {
            complete(result) {
              results[i] = result;
              if (Object.keys(results).length === count) resolve();
            },
          },
          IORING_OP.SEND,
          fd,
          address,
          1 + (i % 5),
          AT_ONCE,
          1 + (i % 5),
        );
      }
      reactor.requestTick();
    });
    expect(results).toEqual(
      Array.from({ length: count }, (_, i) => (i % 7 === 3 ? -ERRNO.EBADF : 1 + (i % 5))),
    );
    end(sockets);
  });

  it('is found to be over by who waits in Node alone', async () => {
    const sockets = await pair();
    sockets.far.resume();
    let isOver = false;
    reactor.submitAtOnce(
      {
        complete() {
          isOver = true;
        },
      },
      IORING_OP.SEND,
      sockets.fd,
      address,
      5,
      AT_ONCE,
      5,
    );
    while (!isOver) await new Promise((resolve) => setImmediate(resolve));
    end(sockets);
  });
});

/** Runs statements in a process of their own, with a socket pair of Node's; resolves with its output. */
async function script(statements: string): Promise<string> {
  const source = `
    import { once } from 'node:events';
    import net from 'node:net';
    import { attach, IORING_OP } from '@sunstar/runtime';
    const server = net.createServer((peer) => peer.resume().unref()).listen(0, '127.0.0.1');
    await once(server, 'listening');
    const socket = net.connect(server.address().port, '127.0.0.1');
    await once(socket, 'connect');
    server.unref();
    socket.unref();
    ${statements}`;
  const parameters = ['--input-type=module', '-e', source];
  const { stdout } = await run(process.execPath, parameters, { cwd: import.meta.dirname, timeout: 15_000 });
  return stdout.trim();
}

const SEND = `
  const { reactor, memory } = attach({ memory: '16MiB' });
  const at = memory.arena.address + memory.allocate(64);
  const send = (complete) =>
    reactor.submitAtOnce({ complete }, IORING_OP.SEND, socket._handle.fd, at, 64, ${AT_ONCE}, 64);`;

describe('a process', () => {
  it('does not end before the success was told, and then ends', async () => {
    const stdout = await script(`${SEND}
      server.close();
      send((result) => console.log('sent', result));
      await new Promise((resolve) => process.once('beforeExit', resolve));
      process.exit(0);`);
    expect(stdout).toBe('sent 64');
  });

  it('goes on after an error that the success is told with', async () => {
    const stdout = await script(`${SEND}
      process.on('uncaughtException', (error) => console.log(error.message));
      send(() => { throw new Error('one'); });
      send((result) => { console.log('two', result); setTimeout(() => process.exit(0), 5); });
      reactor.requestTick();`);
    expect(stdout.split('\n').sort()).toEqual(['one', 'two 64']);
  });

  it('tells it to the scheduling group that asked', async () => {
    const stdout = await script(`
      const { currentGroup } = await import('@sunstar/runtime');
      ${SEND}
      const group = attach().groups.create({ name: 'asking', shares: 100 });
      group.run(() => send((result) => { console.log(currentGroup().name, result); process.exit(0); }));
      attach().reactor.requestTick();`);
    expect(stdout).toBe('asking 64');
  });
});
