import { DynamicBuffer } from '@platformatic/dynamic-buffer';
import { IOBuf } from '@sunstar/iobuf';
import type { ShardMemory } from '@sunstar/runtime';
import { BufferList } from 'bl';
import { Uint8ArrayList } from 'uint8arraylist';
import { use, type Work } from './work.js';

/** A TCP segment. */
const SEGMENT_BYTES = 1460;

/** Frames (a 32-bit length, then so many bytes) cut into TCP segments. */
function segments(lengthOf: (i: number) => number): { frames: number; parts: Buffer[] } {
  const frames: Buffer[] = [];
  for (let i = 0; i < 256; i++) {
    const length = lengthOf(i);
    const frame = Buffer.alloc(4 + length, i & 0xff);
    frame.writeUInt32BE(length);
    frames.push(frame);
  }
  const stream = Buffer.concat(frames);
  const parts: Buffer[] = [];
  for (let at = 0; at < stream.length; at += SEGMENT_BYTES) {
    parts.push(Buffer.from(stream.subarray(at, at + SEGMENT_BYTES)));
  }
  return { frames: frames.length, parts };
}

/** A protocol parser: take in a segment, then for each complete frame read its length, cut its body out, look at it. */
export function parser(kind: string, lengthOf: (i: number) => number, memory: ShardMemory): Work {
  const { frames, parts } = segments(lengthOf);
  // As a socket delivers them: to us as shard memory, to the others as Buffers.
  const pieces = parts.map((part) => IOBuf.from(part, memory));
  const input = new IOBuf(memory);
  const body = new IOBuf(memory);
  const cursor = input.cursor();
  return {
    name: `parser (append, read, slice, consume), ${kind}`,
    operations: frames,
    ours: () => {
      for (let i = 0; i < parts.length; i++) {
        input.link(pieces[i]);
        cursor.reset();
        while (cursor.remaining >= 4) {
          const start = cursor.position;
          const length = cursor.readU32BE();
          if (cursor.remaining < length) {
            cursor.seek(start);
            break;
          }
          cursor.readIOBuf(length, body);
          use(body.byteAt(0) + body.sizeBytes);
        }
        input.trimFront(cursor.position);
      }
    },
    peers: {
      bl: () => {
        const list = new BufferList();
        for (let i = 0; i < parts.length; i++) {
          list.append(parts[i]);
          while (list.length >= 4) {
            const length = list.readUInt32BE(0);
            if (list.length < 4 + length) break;
            const frame = list.shallowSlice(4, 4 + length);
            use((frame.get(0) ?? 0) + frame.length);
            list.consume(4 + length);
          }
        }
      },
      uint8arraylist: () => {
        const list = new Uint8ArrayList();
        for (let i = 0; i < parts.length; i++) {
          list.append(parts[i]);
          while (list.length >= 4) {
            const length = list.getUint32(0);
            if (list.length < 4 + length) break;
            const frame = list.sublist(4, 4 + length);
            use(frame.get(0) + frame.length);
            list.consume(4 + length);
          }
        }
      },
      'dynamic-buffer': () => {
        const list = new DynamicBuffer();
        for (let i = 0; i < parts.length; i++) {
          list.append(parts[i]);
          while (list.length >= 4) {
            const length = list.readUInt32BE(0);
            if (list.length < 4 + length) break;
            const frame = list.subarray(4, 4 + length);
            use(frame.get(0) + frame.length);
            list.consume(4 + length);
          }
        }
      },
      'Buffer.concat': () => {
        let pending: Buffer = Buffer.alloc(0);
        for (let i = 0; i < parts.length; i++) {
          pending = pending.length === 0 ? parts[i] : Buffer.concat([pending, parts[i]]);
          let at = 0;
          while (pending.length - at >= 4) {
            const length = pending.readUInt32BE(at);
            if (pending.length - at < 4 + length) break;
            const frame = pending.subarray(at + 4, at + 4 + length);
            use(frame[0] + frame.length);
            at += 4 + length;
          }
          pending = pending.subarray(at);
        }
      },
    },
  };
}
