import { closeSync, mkdtempSync, openSync, rmSync } from 'node:fs';
import { constants } from 'node:os';
import { join } from 'node:path';
import { addressOf, aliasOf, native, type SocketAddress } from '@sunstar/native';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

const { errno } = constants;

describe('memory', () => {
  const shared = new SharedArrayBuffer(8192, { maxByteLength: 8192 });
  const bytes = new Uint8Array(shared, 0, 8192);

  it('of an alias is the same memory', () => {
    const alias = new Uint8Array(aliasOf(bytes));
    expect(alias.length).toBe(8192);
    expect(alias.buffer).toBeInstanceOf(ArrayBuffer);
    bytes[4711] = 42;
    expect(alias[4711]).toBe(42);
    alias[0] = 7;
    expect(Atomics.load(bytes, 0)).toBe(7);
    expect(addressOf(alias)).toBe(addressOf(bytes));
  });

  it('has addresses that are exact, and aligned for a growable buffer', () => {
    expect(addressOf(bytes) % 4096).toBe(0);
    expect(addressOf(bytes.subarray(100))).toBe(addressOf(bytes) + 100);
    expect(Number.isSafeInteger(addressOf(bytes))).toBe(true);
  });
});

describe('sockets', () => {
  it('listen on v4 and v6 and say where', () => {
    for (const host of ['127.0.0.1', '::1']) {
      const fd = native.tcpListen(host, 0, false, 16, false);
      expect(fd).toBeGreaterThan(2);
      const name = native.socketName(fd) as SocketAddress;
      expect(name).toMatchObject({ address: host, family: host.includes(':') ? 6 : 4 });
      expect(native.tcpListen(host, name.port, false, 16, false)).toBe(-errno.EADDRINUSE);
      expect(native.closeDescriptor(fd)).toBe(0);
    }
  });

  it('share a port on request, on every Node', () => {
    const first = native.tcpListen('127.0.0.1', 0, true, 16, false);
    const { port } = native.socketName(first) as SocketAddress;
    const second = native.tcpListen('127.0.0.1', port, true, 16, false);
    expect(second).toBeGreaterThan(first);
    native.closeDescriptor(first);
    native.closeDescriptor(second);
  });

  it('answer bad input with an error number', () => {
    expect(native.tcpListen('localhost', 0, false, 16, false)).toBe(-errno.EINVAL);
    expect(native.encodeAddress('300.1.1.1', 1, new Uint8Array(28))).toBe(-errno.EINVAL);
    expect(native.encodeAddress('::1', 1, new Uint8Array(4))).toBe(-errno.EINVAL);
    expect(native.socketName(1 << 20)).toBe(-errno.EBADF);
    expect(native.setNoDelay(1 << 20, true)).toBe(-errno.EBADF);
  });

  it('encode addresses as the kernel wants them', () => {
    const v4 = new Uint8Array(28);
    expect(native.encodeAddress('1.2.3.4', 0x1234, v4)).toBe(16);
    expect([...v4.subarray(0, 8)]).toEqual([2, 0, 0x12, 0x34, 1, 2, 3, 4]);
    const v6 = new Uint8Array(28);
    expect(native.encodeAddress('::1', 80, v6)).toBe(28);
    expect([v6[0], v6[3], v6[23]]).toEqual([10, 80, 1]);
  });
});

describe('files', () => {
  let directory: string;
  let fd: number;

  beforeAll(() => {
    directory = mkdtempSync(join(import.meta.dirname, '.files-'));
    fd = openSync(join(directory, 'file'), 'w+');
  });

  afterAll(() => {
    closeSync(fd);
    rmSync(directory, { recursive: true });
  });

  it('tell their alignment, or that they do not know', () => {
    const alignment = native.directIoAlignment(fd);
    if (alignment !== undefined) {
      expect(alignment).toEqual({ memoryBytes: expect.any(Number), offsetBytes: expect.any(Number) });
    }
    expect(native.directIoAlignment(1 << 20)).toBe(-errno.EBADF);
  });

  it('are locked once', () => {
    const other = openSync(join(directory, 'file'), 'r+');
    expect(native.tryLock(fd)).toBe(0);
    expect(native.tryLock(other)).toBe(-errno.EWOULDBLOCK);
    closeSync(other);
  });

  it('are truncated, and know the free space around them', () => {
    expect(native.truncate(fd, 5 * 2 ** 32)).toBe(0);
    expect(native.truncate(fd, 0)).toBe(0);
    expect(native.freeDiskBytes(fd)).toBeGreaterThan(0);
    expect(native.freeDiskBytes(1 << 20)).toBe(-errno.EBADF);
  });
});

describe('CPUs', () => {
  it('are listed, and a thread is pinned to some of them', () => {
    const cpus = native.allowedCpus() as number[];
    expect(cpus.length).toBeGreaterThan(0);
    expect(native.pinThread([cpus[0]])).toBe(0);
    expect(native.allowedCpus()).toEqual([cpus[0]]);
    expect(native.pinThread(cpus)).toBe(0);
    expect(native.allowedCpus()).toEqual(cpus);
    expect(native.pinThread([])).toBe(-errno.EINVAL);
  });
});
