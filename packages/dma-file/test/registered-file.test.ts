import { execFile, execFileSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { DmaFile, SegmentAppender } from '@sunstar/dma-file';
import { type Completion, ERRNO, IORING_OP, IOSQE, type Registrations } from '@sunstar/runtime';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { RegisteredFile } from '../src/registered-file.js';
import { scratch } from './support.js';

const { path, shard } = scratch();
const isKernel = shard.reactor.backend === 'io_uring';
const both = { registerMemory: true, registerDescriptor: true };

/** Whether this process may run others as somebody without rights. */
const mayDropPrivileges = ((): boolean => {
  const here = fileURLToPath(new URL('.', import.meta.url));
  try {
    execFileSync('setpriv', ['--reuid=65534', '--regid=65534', '--clear-groups', 'ls', here], {
      stdio: 'ignore',
    });
    return process.getuid?.() === 0;
  } catch {
    return false;
  }
})();

afterEach(() => {
  vi.restoreAllMocks();
  shard.reactor.registrations.invariants();
  expect(shard.reactor.registrations.fileCount).toBe(0);
});

/** Operation codes that reach the ring, those with a registered descriptor apart. */
function watchRing(): { readonly opcodes: Set<number>; readonly fixed: Set<number> } {
  const opcodes = new Set<number>();
  const fixed = new Set<number>();
  const submit = shard.reactor.submit.bind(shard.reactor);
  vi.spyOn(shard.reactor, 'submit').mockImplementation((...all) => {
    const [, opcode, , , , , , sqeFlags = 0] = all;
    ((sqeFlags & IOSQE.FIXED_FILE) !== 0 ? fixed : opcodes).add(opcode);
    return submit(...all);
  });
  return { opcodes, fixed };
}

describe('a file whose memory and descriptor are registered', () => {
  it('moves the same bytes by every call, on a ring that takes registrations and on one that does not', async () => {
    const warn = vi.spyOn(shard.log, 'warn');
    const file = await DmaFile.open(path('all'), { flags: 'w+', direct: 'require', ...both });
    expect(file.isMemoryRegistered).toBe(isKernel);
    expect(file.isDescriptorRegistered).toBe(isKernel);
    if (!isKernel) {
      expect(warn).toHaveBeenCalledWith(
        { path: path('all'), reason: expect.stringContaining('the emulated ring cannot') as unknown },
        expect.stringContaining('could not be registered'),
      );
    }
    const { opcodes, fixed } = watchRing();
    const data = Buffer.from(Array.from({ length: 300 * 1024 }, (_, i) => (i * 31) & 0xff));
    await file.allocate(0, data.length);
    await file.write(0, data);
    await file.fdatasync();
    await file.truncate(data.length - 1000);
    expect(await file.size()).toBe(data.length - 1000);
    using content = await file.read(1001, data.length);
    expect(content.toBuffer().equals(data.subarray(1001, data.length - 1000))).toBe(true);
    const memory = shard.memory.allocateAligned(16_384, 4096);
    const pieces = [
      { memoryOffset: memory + 8192, length: 4096 },
      { memoryOffset: memory, length: 4096 },
    ];
    expect(await file.readv(4096, pieces)).toBe(8192);
    const read = shard.memory.bytes.subarray(memory, memory + 4096);
    expect(read.equals(data.subarray(8192, 12_288))).toBe(true);
    expect(await file.writev(0, pieces)).toBe(8192);
    expect(readFileSync(path('all')).subarray(0, 4096).equals(data.subarray(4096, 8192))).toBe(true);
    shard.memory.free(memory);
    await file.close();

    const used = isKernel ? fixed : opcodes;
    const moves = isKernel
      ? [IORING_OP.READ_FIXED, IORING_OP.WRITE_FIXED]
      : [IORING_OP.READ, IORING_OP.WRITE];
    for (const opcode of [...moves, IORING_OP.READV, IORING_OP.WRITEV, IORING_OP.FSYNC]) {
      expect(used, `operation ${opcode}`).toContain(opcode);
    }
    expect(fixed.size > 0).toBe(isKernel);
    // The kernel takes no registered descriptor for this one.
    expect(opcodes).toContain(IORING_OP.STATX);
  });

  it('serves an appender, and readers that end inside of a page', async () => {
    const file = await DmaFile.open(path('log'), { flags: 'w+', direct: 'require', ...both });
    const appender = await SegmentAppender.open(file);
    for (let i = 0; i < 50; i++) {
      appender.append(Buffer.alloc(1000 + i, i));
      if (i % 7 === 0) await appender.flush();
    }
    await appender.close();
    const content = readFileSync(path('log'));
    expect(content.length).toBe(50 * 1000 + (49 * 50) / 2);
    expect(content.subarray(-1049).every((byte) => byte === 49)).toBe(true);
  });

  it('gives its place in the table back, also to files that are opened and closed often', async () => {
    writeFileSync(path('often'), Buffer.alloc(4096, 1));
    for (let i = 0; i < 1100; i++) {
      await using file = await DmaFile.open(path('often'), { registerDescriptor: true });
      expect(file.isDescriptorRegistered).toBe(isKernel);
    }
  });

  it('reports errors as other files do', async () => {
    writeFileSync(path('old'), 'x');
    await using file = await DmaFile.open(path('old'), { ...both });
    await expect(file.write(0, Buffer.alloc(4096))).rejects.toMatchObject({
      code: 'SUNSTAR_EBADF',
      syscall: 'write',
    });
  });
});

describe('a ring that refuses', () => {
  it('says why in the log, once, and the file works without', async () => {
    const { registrations } = shard.reactor;
    vi.spyOn(registrations, 'registerMemory').mockReturnValue(-ERRNO.ENOMEM);
    vi.spyOn(registrations, 'registerFile').mockReturnValue(-ERRNO.EMFILE);
    const warn = vi.spyOn(shard.log, 'warn');
    for (let i = 0; i < 2; i++) {
      await using file = await DmaFile.open(path('refused'), { flags: 'w+', ...both });
      expect(file.isMemoryRegistered || file.isDescriptorRegistered).toBe(false);
      expect(await file.write(0, Buffer.alloc(4096))).toBe(4096);
    }
    // On a busy machine there may be reports of stalls as well, which give no reason.
    const reasons = warn.mock.calls.map(([fields]) => (fields as { reason?: string }).reason);
    expect(reasons.filter((reason) => reason !== undefined)).toEqual([
      expect.stringMatching(/^ENOMEM: .*ulimit -l/),
      'EMFILE',
    ]);
  });
});

it.runIf(mayDropPrivileges)('respects the limit of locked memory of a user without rights', async () => {
  const script = fileURLToPath(new URL('./open-registered.mjs', import.meta.url));
  const command = `ulimit -l 1024 && exec setpriv --reuid=65534 --regid=65534 --clear-groups "${process.execPath}" "${script}"`;
  const { stdout } = await promisify(execFile)('sh', ['-c', command]);
  expect(stdout.trim().split('\n')).toEqual([
    expect.stringMatching(isKernel ? /^ENOMEM: .*ulimit -l/ : /the emulated ring cannot/),
    'false',
    'written and read',
  ]);
});

it('leaves memory that lies in two registered buffers to an ordinary operation', () => {
  const submitted: number[][] = [];
  const registered = RegisteredFile.register(
    {
      memory: shard.memory,
      log: shard.log,
      reactor: {
        registrations: {
          registerMemory: () => 0,
          bufferOf: (memoryOffset: number) => (memoryOffset === 0 ? -1 : 3),
        } as unknown as Registrations,
      },
    },
    9,
    'border',
    { registerMemory: true, registerDescriptor: false },
  );
  const reactor = {
    submit: (_: Completion, ...all: number[]) => submitted.push(all),
  };
  const { address } = shard.memory.arena;
  const operation = { opcode: IORING_OP.WRITE, address, length: 512, offset: 0, opFlags: 2, total: 512 };
  for (const at of [address, address + 4096]) {
    registered?.submit(reactor, { ...operation, address: at } as never);
  }
  expect(submitted).toEqual([
    [IORING_OP.WRITE, 9, address, 512, 0, 2, 0, 0, 0],
    [IORING_OP.WRITE_FIXED, 9, address + 4096, 512, 0, 2, 0, 0, 3],
  ]);
});
