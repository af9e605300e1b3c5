import { execFile, execFileSync } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { readdirSync } from 'node:fs';
import {
  mkdir,
  mkdtemp,
  readFile,
  realpath,
  rename,
  rm,
  symlink,
  truncate,
  unlink,
  writeFile,
} from 'node:fs/promises';
import http from 'node:http';
import net from 'node:net';
import path from 'node:path';
import { buffer, text } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { FileService } from '@sunstar/example-file-server';
import { type HttpServer, serveHttp } from '@sunstar/example-http';
import { attach } from '@sunstar/runtime';
import { networkStats } from '@sunstar/zerocopy-net';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { requestPath } from '../src/request-path.ts';

const run = promisify(execFile);
const hasCurl: boolean = (() => {
  try {
    execFileSync('curl', ['--version']);
    return true;
  } catch {
    return false;
  }
})();
const shard = attach({ memory: '128MiB' });
const big = randomBytes(3_000_001);
let root: string;
let service: FileService;
let server: HttpServer;

beforeAll(async () => {
  const build = fileURLToPath(new URL('../build/', import.meta.url));
  await mkdir(build, { recursive: true });
  root = await realpath(await mkdtemp(path.join(build, 'files-')));
  await mkdir(path.join(root, 'public', 'sub'), { recursive: true });
  const put = (name: string, data: string | Buffer): Promise<void> =>
    writeFile(path.join(root, 'public', name), data);
  await put('index.html', '<h1>hello</h1>');
  await put('sub/index.html', 'sub');
  await put('sub/ü ?.txt', 'odd name');
  await put('empty.css', '');
  await put('big.bin', big);
  await put('.hidden', 'hidden');
  await writeFile(path.join(root, 'secret'), 'secret');
  await symlink(path.join(root, 'secret'), path.join(root, 'public', 'leak'));
  await symlink('..', path.join(root, 'public', 'up'));
  await symlink('sub', path.join(root, 'public', 'inside'));
  service = new FileService({
    root: path.join(root, 'public'),
    maxOpenFiles: 3,
    revalidateMs: 0,
    cacheBytes: 2 ** 22,
  });
  server = await serveHttp({ port: 0 }, service.handle);
});

afterAll(async () => {
  await server.close();
  await service.close();
  expect(networkStats().open).toBe(0);
  await rm(root, { recursive: true });
  shard.memory.invariants();
});

interface Answer {
  readonly status: number;
  readonly headers: http.IncomingHttpHeaders;
  readonly body: Buffer;
}

async function get(target: string, headers: http.OutgoingHttpHeaders = {}, method = 'GET'): Promise<Answer> {
  const request = http.request({
    port: server.port,
    host: '127.0.0.1',
    path: target,
    headers,
    method,
    agent: false,
  });
  request.end();
  const [response] = (await once(request, 'response')) as [http.IncomingMessage];
  return { status: response.statusCode ?? 0, headers: response.headers, body: await buffer(response) };
}

describe('requestPath', () => {
  test('never leaves the directory', () => {
    const part = fc.constantFrom(
      '..',
      '.',
      '',
      'a',
      '%2e%2e',
      '%2F',
      '%2e',
      '..%2f',
      '\\',
      '%00',
      '%',
      'é',
      '.git',
    );
    fc.assert(
      fc.property(fc.array(part), fc.constantFrom('/', '', '?x'), (parts, end) => {
        const found = requestPath(`/${parts.join('/')}${end}`);
        if (found === null) return;
        expect(path.posix.normalize(`/${found}`).slice(1)).toBe(found.replace(/\/$/, ''));
        for (const segment of found.split('/')) expect(segment.startsWith('.')).toBe(false);
      }),
    );
  });
});

describe('FileService', () => {
  test('serves files whole, with their type and validators', async () => {
    const answer = await get('/big.bin');
    expect(answer.status).toBe(200);
    expect(answer.body.equals(big)).toBe(true);
    expect(answer.headers).toMatchObject({
      'content-type': 'application/octet-stream',
      'content-length': String(big.length),
      'accept-ranges': 'bytes',
    });
    expect((await get('/')).body.toString()).toBe('<h1>hello</h1>');
    expect((await get('/')).headers['content-type']).toBe('text/html; charset=utf-8');
    expect((await get('/sub/%C3%BC%20%3F.txt?query')).body.toString()).toBe('odd name');
    expect((await get('/inside/index.html')).body.toString()).toBe('sub');
    expect(await get('/empty.css')).toMatchObject({ status: 200, body: Buffer.alloc(0) });
    const head = await get('/big.bin', {}, 'HEAD');
    expect([head.headers['content-length'], head.body.length]).toEqual([String(big.length), 0]);
  });

  test('serves any range, and refuses what is beyond the end', async () => {
    await fc.assert(
      fc.asyncProperty(fc.nat(big.length - 1), fc.nat(400_000), async (start, length) => {
        const end = Math.min(big.length - 1, start + length);
        const answer = await get('/big.bin', { Range: `bytes=${start}-${start + length}` });
        expect(answer.status).toBe(206);
        expect(answer.headers['content-range']).toBe(`bytes ${start}-${end}/${big.length}`);
        expect(answer.body.equals(big.subarray(start, end + 1))).toBe(true);
      }),
      { numRuns: 30 },
    );
    expect((await get('/big.bin', { Range: 'bytes=-10' })).body.equals(big.subarray(-10))).toBe(true);
    const beyond = await get('/big.bin', { Range: `bytes=${big.length}-` });
    expect([beyond.status, beyond.headers['content-range']]).toEqual([416, `bytes */${big.length}`]);
    // Several ranges, other units and nonsense are as if there were none.
    for (const range of ['bytes=0-1,5-6', 'lines=1-2', 'bytes=x']) {
      expect((await get('/big.bin', { Range: range })).status).toBe(200);
    }
  });

  test('answers conditional requests', async () => {
    const { etag = '', 'last-modified': lastModified = '' } = (await get('/index.html')).headers;
    const statusWith = async (headers: http.OutgoingHttpHeaders): Promise<number> =>
      (await get('/index.html', headers)).status;
    expect(await statusWith({ 'If-None-Match': etag })).toBe(304);
    expect(await statusWith({ 'If-None-Match': `"x", W/${etag}` })).toBe(304);
    expect(await statusWith({ 'If-None-Match': '"x"' })).toBe(200);
    expect(await statusWith({ 'If-Modified-Since': lastModified })).toBe(304);
    expect(await statusWith({ 'If-Modified-Since': 'Thu, 01 Jan 1970 00:00:00 GMT' })).toBe(200);
    expect(await statusWith({ 'If-Match': '"x"' })).toBe(412);
    expect(await statusWith({ 'If-Match': etag })).toBe(200);
    expect(await statusWith({ Range: 'bytes=0-1', 'If-Range': etag })).toBe(206);
    expect(await statusWith({ Range: 'bytes=0-1', 'If-Range': '"x"' })).toBe(200);
  });

  test.each([
    ['/../secret', 403],
    ['/%2e%2e/secret', 403],
    ['/sub/..%2f..%2fsecret', 403],
    ['/.hidden', 403],
    ['/a%00b', 403],
    ['/%', 403],
    ['secret', 403],
    ['/leak', 404],
    ['/up/secret', 404],
    ['/missing', 404],
    ['/index.html/x', 404],
    [`/${'x'.repeat(300)}`, 404],
    ['/sub', 301],
    ['//sub', 301],
  ])('answers %s with %i', async (target, status) => {
    const socket = net.connect({ port: server.port, host: '127.0.0.1' });
    socket.end(`GET ${target} HTTP/1.1\r\nHost: a\r\n\r\n`);
    const answer = await text(socket);
    expect(Number(answer.slice(9, 12))).toBe(status);
    expect(answer).not.toContain('secret\n');
    if (status === 301) expect(answer).toContain('\r\nLocation: /sub/\r\n');
  });

  test('refuses to write', async () => {
    expect(await get('/index.html', {}, 'POST')).toMatchObject({
      status: 405,
      headers: { allow: 'GET, HEAD' },
    });
  });

  test('sees a file replaced, and cuts a response short whose file was cut', async () => {
    const name = path.join(root, 'public', 'changing.txt');
    await writeFile(name, 'before');
    const first = await get('/changing.txt');
    await writeFile(`${name}.new`, 'after it');
    await rename(`${name}.new`, name);
    const second = await get('/changing.txt');
    expect([first.body.toString(), second.body.toString()]).toEqual(['before', 'after it']);
    expect(first.headers.etag).not.toBe(second.headers.etag);

    await writeFile(name, randomBytes(20_000_000));
    const request = http.get({ port: server.port, host: '127.0.0.1', path: '/changing.txt', agent: false });
    // Node tells of the reset here, too, when it comes after the last byte of what was sent.
    request.on('error', () => {});
    const [response] = (await once(request, 'response')) as [http.IncomingMessage];
    await truncate(name, 1_000_000);
    await expect(buffer(response)).rejects.toThrow();
  });

  test.skipIf(!hasCurl)(
    'understands curl: two files on one connection, resumed and conditional transfers',
    async () => {
      const origin = `http://127.0.0.1:${server.port}`;
      const curl = async (...args: string[]): Promise<Buffer> =>
        (await run('curl', ['-sS', '--max-time', '10', ...args], { encoding: 'buffer', maxBuffer: 2 ** 24 }))
          .stdout;
      expect((await curl(`${origin}/big.bin`)).equals(big)).toBe(true);
      const part = path.join(root, 'part');
      await writeFile(part, big.subarray(0, 1_000_001));
      await curl('-C', '-', '-o', part, `${origin}/big.bin`);
      expect((await readFile(part)).equals(big)).toBe(true);
      const format = '%{http_code} %{num_connects};';
      const two = await curl(
        '-o',
        part,
        '-o',
        part,
        '-w',
        format,
        `${origin}/big.bin`,
        `${origin}/index.html`,
      );
      expect(String(two)).toBe('200 1;200 0;');
      const tag = path.join(root, 'tag');
      await curl('--etag-save', tag, '-o', part, `${origin}/index.html`);
      const conditional = ['--etag-compare', tag, '-o', part, '-w', '%{http_code}', `${origin}/index.html`];
      expect(String(await curl(...conditional))).toBe('304');
      for (const target of ['/../secret', '/sub/../../secret', '/%2e%2e/secret', '/leak']) {
        const answer = await curl('--path-as-is', '-w', '%{http_code}', `${origin}${target}`);
        expect(String(answer), target).toMatch(/(400|403|404)$/);
        expect(answer.includes('secret')).toBe(false);
      }
    },
  );

  test('closes files that were deleted or pushed out', async () => {
    const descriptors = (): number => readdirSync('/proc/self/fd').length;
    const before = descriptors();
    const names = Array.from({ length: 12 }, (_, index) => path.join(root, 'public', `many-${index}.txt`));
    await Promise.all(names.map((name) => writeFile(name, name)));
    await Promise.all(
      names.map(async (name) => expect((await get(`/${path.basename(name)}`)).body.toString()).toBe(name)),
    );
    await Promise.all(names.map((name) => unlink(name)));
    for (const name of names) expect((await get(`/${path.basename(name)}`)).status).toBe(404);
    while (networkStats().open > 0 || descriptors() > before)
      await new Promise((resolve) => setTimeout(resolve, 5));
  });

  test('reads once what many ask for', async () => {
    const before = service.cacheStats;
    await Promise.all(Array.from({ length: 8 }, () => get('/big.bin')));
    const after = service.cacheStats;
    expect(after.misses - before.misses).toBeLessThanOrEqual(Math.ceil(big.length / 131_072));
    const hits = after.hits;
    expect(
      (await get('/big.bin', { Range: 'bytes=131000-132000' })).body.equals(big.subarray(131_000, 132_001)),
    ).toBe(true);
    expect(service.cacheStats.hits).toBeGreaterThan(hits);
  });

  test('serves many at once, some of which leave, and keeps no memory', async () => {
    const usedBytes = shard.memory.stats().usedBytes - service.cacheStats.usedBytes;
    const digest = (data: Buffer): string => createHash('sha256').update(data).digest('hex');
    const expected = digest(big);
    const leave = async (): Promise<void> => {
      const socket = net.connect({ port: server.port, host: '127.0.0.1' });
      socket.write('GET /big.bin HTTP/1.1\r\nHost: a\r\n\r\n');
      await once(socket, 'data');
      socket.resetAndDestroy();
    };
    const stay = async (): Promise<void> => {
      expect(digest((await get('/big.bin')).body)).toBe(expected);
    };
    await Promise.all(Array.from({ length: 20 }, (_, index) => (index % 3 === 0 ? leave() : stay())));
    while (networkStats().open > 0) await new Promise((resolve) => setTimeout(resolve, 5));
    // Idle send tables and chunks are kept.
    while (shard.memory.stats().usedBytes - service.cacheStats.usedBytes - usedBytes > 512 * 1024)
      await new Promise((resolve) => setTimeout(resolve, 5));
  });
});
