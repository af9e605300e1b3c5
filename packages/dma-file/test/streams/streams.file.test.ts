import { createReadStream, createWriteStream, readFileSync, writeFileSync } from 'node:fs';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { createGunzip, createGzip } from 'node:zlib';
import { DmaFile, SegmentAppender, StreamReader, StreamWriter } from '@sunstar/dma-file';
import { IOBuf } from '@sunstar/iobuf';
import { describe, expect, it } from 'vitest';
import { scratch } from '../support.js';

const { path } = scratch();

const CONTENT = Buffer.from(
  Uint8Array.from({ length: 3_000_001 }, (_, i) => Math.imul(i + 1, 2654435761) >>> 21),
);

describe('streams of files', () => {
  it('write and read a file through IOBufs', async () => {
    await using writer = await StreamWriter.open(await DmaFile.open(path('plain'), { flags: 'w+' }), {
      bufferBytes: 65536,
      maxWriteBehind: 4,
      expectedBytes: CONTENT.length,
    });
    for (let at = 0; at < CONTENT.length; at += 100_000) {
      using piece = IOBuf.from(CONTENT.subarray(at, at + 100_000));
      await writer.write(piece);
    }
    await writer.flush();
    expect(writer.flushed).toBe(CONTENT.length);
    await writer.close();
    expect(readFileSync(path('plain')).equals(CONTENT)).toBe(true);

    await using file = await DmaFile.open(path('plain'));
    const reader = new StreamReader(file, { start: 1000, maxReadAhead: 4 });
    using header = await reader.readExactly(10_000);
    expect(header.toBuffer().equals(CONTENT.subarray(1000, 11_000))).toBe(true);
    expect(await reader.skip(500_000)).toBe(500_000);
    const pieces: Buffer[] = [];
    for await (const piece of reader) {
      pieces.push(piece.toBuffer());
      piece[Symbol.dispose]();
    }
    expect(Buffer.concat(pieces).equals(CONTENT.subarray(511_000))).toBe(true);
  });

  it('take part in pipelines of Node', async () => {
    writeFileSync(path('source'), CONTENT);
    const zipped = await SegmentAppender.open(await DmaFile.open(path('zipped'), { flags: 'w+' }));
    await pipeline(createReadStream(path('source')), createGzip(), zipped.toWritable());
    const file = await DmaFile.open(path('zipped'));
    await pipeline(new StreamReader(file).toReadable(), createGunzip(), createWriteStream(path('target')));
    await file.close();
    expect(readFileSync(path('target')).equals(CONTENT)).toBe(true);
  });

  it('take part in pipes of the web', async () => {
    writeFileSync(path('source'), CONTENT);
    await using file = await DmaFile.open(path('source'));
    const writer = await StreamWriter.open(await DmaFile.open(path('copy'), { flags: 'w+' }));
    await new StreamReader(file).toReadableStream().pipeTo(writer.toWritableStream());
    expect(readFileSync(path('copy')).equals(CONTENT)).toBe(true);
    const stream = new StreamReader(file).toReadableStream().getReader();
    await stream.read();
    await stream.cancel();
  });

  it('release everything when the other side fails', async () => {
    writeFileSync(path('source'), CONTENT);
    await using file = await DmaFile.open(path('source'));
    const writer = await StreamWriter.open(await DmaFile.open(path('broken'), { flags: 'w+' }));
    const failing = new Readable({
      read() {
        this.push(Buffer.alloc(1000));
        this.destroy(new Error('the source broke'));
      },
    });
    await expect(pipeline(failing, writer.toWritable())).rejects.toThrow('the source broke');
    // The pipeline does not wait for it.
    await writer.close();
    const reader = new StreamReader(file).toReadable();
    reader.once('data', () => reader.destroy());
    await new Promise((resolve) => reader.once('close', resolve));
  });
});
