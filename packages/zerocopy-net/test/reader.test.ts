import { attach } from '@sunstar/runtime';
import { type Connection, connect, type Listener, listen } from '@sunstar/zerocopy-net';
import fc from 'fast-check';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { leakCheck } from './support/leaks.ts';
import { until } from './support/peer.ts';

const shard = attach({ memory: '64MiB' });
const nothingIsLeft = await leakCheck(shard);

let listener: Listener;
beforeAll(async () => {
  listener = await listen({ port: 0 }, () => {});
});
afterAll(async () => {
  await listener.close();
  await nothingIsLeft();
});

/** Two connected ends: what is written to `far` is read from `near`. */
async function pair(): Promise<{ near: Connection; far: Connection }> {
  const far = await connect({ port: listener.port });
  await until(() => [...listener.connections].some((c) => c.remotePort === far.localPort));
  const near = [...listener.connections].find((c) => c.remotePort === far.localPort);
  if (near === undefined) throw new Error('not accepted');
  ends.push(near, far);
  return { near, far };
}

const ends: Connection[] = [];

afterEach(async () => {
  for (const connection of ends) connection.reset();
  await Promise.all(ends.splice(0).map((connection) => connection.closed));
});

async function text(
  piece: Promise<{ toString(): string; [Symbol.dispose](): void } | null>,
): Promise<string | null> {
  const buffer = await piece;
  if (buffer === null) return null;
  using owned = buffer;
  return owned.toString();
}

describe('reads', () => {
  test('read takes what is there, null at the end', async () => {
    const { near, far } = await pair();
    void far.write('hello');
    expect(await text(near.read())).toBe('hello');
    far.end();
    expect(await near.read()).toBeNull();
    expect(await near.read()).toBeNull();
  });

  test('readExactly waits for all of it, and keeps the rest', async () => {
    const { near, far } = await pair();
    const reading = text(near.readExactly(10));
    await far.write('0123');
    await far.write('456789abc');
    expect(await reading).toBe('0123456789');
    expect(await text(near.readExactly(0))).toBe('');
    expect(await text(near.readExactly(3))).toBe('abc');
    far.end();
    await expect(near.readExactly(1)).rejects.toMatchObject({ code: 'SUNSTAR_UNEXPECTED_END' });
  });

  test('readExactly may ask for more than readAheadBytes', async () => {
    const { near, far } = await pair();
    const reading = near.readExactly(3_000_000);
    const writing = far.write(Buffer.alloc(3_000_000, 7));
    using piece = await reading;
    expect(piece.sizeBytes).toBe(3_000_000);
    await writing;
  });

  test('readUntil includes the delimiter and knows its limit', async () => {
    const { near, far } = await pair();
    await far.write('key: value\r\n\r\nbody');
    expect(await text(near.readUntil('\r\n'))).toBe('key: value\r\n');
    expect(await text(near.readUntil('\r\n', 2))).toBe('\r\n');
    await expect(near.readUntil('\n', 4)).rejects.toMatchObject({ code: 'SUNSTAR_MESSAGE_TOO_LONG' });
    // A failed read takes nothing.
    expect(await text(near.readExactly(4))).toBe('body');
    far.end();
    expect(await near.readUntil('\n')).toBeNull();
  });

  test('readUntil rejects when input ends inside a message', async () => {
    const { near, far } = await pair();
    await far.write('half a mess');
    far.end();
    await expect(near.readUntil('\n')).rejects.toMatchObject({ code: 'SUNSTAR_UNEXPECTED_END' });
  });

  test('two reads at once are refused', async () => {
    const { near, far } = await pair();
    const first = near.read();
    await expect(near.read()).rejects.toMatchObject({ code: 'SUNSTAR_READ_IN_PROGRESS' });
    await far.write('x');
    expect(await text(first)).toBe('x');
  });

  test('a delimiter must be one', async () => {
    const { near } = await pair();
    expect(() => near.readUntil('')).toThrowError(
      expect.objectContaining({ code: 'SUNSTAR_INVALID_OPTION' }),
    );
  });

  test('a receiver takes over what was not read, and gives input back', async () => {
    const { near, far } = await pair();
    await far.write('header\nbody one ');
    expect(await text(near.readUntil('\n'))).toBe('header\n');
    let received = '';
    near.receiver = {
      onData(_c, offset, length) {
        received += shard.memory.bytes.toString('latin1', offset, offset + length);
      },
      onEnd() {},
    };
    expect(() => near.read()).toThrowError(expect.objectContaining({ code: 'SUNSTAR_RECEIVER_IN_USE' }));
    await far.write('body two');
    await until(() => received === 'body one body two');
    near.receiver = null;
    await far.write('trailer');
    far.end();
    expect(await text(near.readExactly(7))).toBe('trailer');
    expect(await near.read()).toBeNull();
  });
});

describe('lines', () => {
  test('LF and CR LF end a line, the last one needs no end', async () => {
    const { near, far } = await pair();
    await far.write('one\ntwo\r\n\nfo\rur\nläst');
    far.end();
    const lines: string[] = [];
    for await (const line of near.lines()) lines.push(line);
    expect(lines).toEqual(['one', 'two', '', 'fo\rur', 'läst']);
  });

  test('leaving the loop leaves the rest', async () => {
    const { near, far } = await pair();
    await far.write('command\nrest');
    for await (const line of near.lines()) {
      expect(line).toBe('command');
      break;
    }
    expect(await text(near.readExactly(4))).toBe('rest');
  });

  test('a line may have exactly maxLineBytes', async () => {
    for (const end of ['\n', '\r\n']) {
      const { near, far } = await pair();
      await far.write(`12345678${end}`);
      for await (const line of near.lines({ maxLineBytes: 8 })) {
        expect(line).toBe('12345678');
        break;
      }
      await far.write(`123456789${end}`);
      await expect(near.lines({ maxLineBytes: 8 }).next()).rejects.toMatchObject({
        code: 'SUNSTAR_MESSAGE_TOO_LONG',
      });
    }
  });

  test('an endless line does not fill the memory', async () => {
    const { near, far } = await pair();
    const writing = far.write(Buffer.alloc(5_000_000, 'x')).catch(() => {});
    await expect(near.lines({ maxLineBytes: 1000 }).next()).rejects.toMatchObject({
      code: 'SUNSTAR_MESSAGE_TOO_LONG',
    });
    near.reset();
    await writing;
  });

  test('however the text is cut, the lines are the same', async () => {
    const line = fc.stringMatching(/^[a-zä€😀 ]{0,40}$/u);
    await fc.assert(
      fc.asyncProperty(
        fc.array(line, { maxLength: 20 }),
        fc.array(fc.nat({ max: 300 }), { maxLength: 10 }),
        fc.boolean(),
        async (lines, cuts, crlf) => {
          const { near, far } = await pair();
          const data = Buffer.from(lines.map((l) => l + (crlf ? '\r\n' : '\n')).join(''));
          const received: string[] = [];
          const reading = (async (): Promise<void> => {
            for await (const l of near.lines()) received.push(l);
          })();
          let from = 0;
          for (const cut of [...cuts.sort((a, b) => a - b), data.length]) {
            await far.write(data.subarray(from, cut));
            from = Math.max(from, cut);
            await new Promise((resolve) => setImmediate(resolve));
          }
          far.end();
          await reading;
          expect(received).toEqual(lines);
        },
      ),
      { numRuns: 60 },
    );
  });
});

test('close() while a read waits: the read rejects', async () => {
  const { near } = await pair();
  const reading = near.read();
  void near.close();
  await expect(reading).rejects.toMatchObject({ code: 'SUNSTAR_CONNECTION_CLOSED' });
});
