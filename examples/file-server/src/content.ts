import type { IOBuf } from '@sunstar/iobuf';
import { SunstarError } from '@sunstar/runtime';
import type { OpenFile } from './open-file.js';

/** Bytes that are read and sent together; pieces begin at multiples of it. */
const PIECE_BYTES = 131_072;
/** Pieces of one response that are read ahead of the peer. */
const READ_AHEAD = 4;

/**
 * A part of a file, piece by piece, a few pieces read ahead. Each piece is disposed when the next is asked for: move
 * out of it what must stay. Fails when the file has become shorter meanwhile.
 */
export async function* readContent(
  file: OpenFile,
  start: number,
  lengthBytes: number,
): AsyncGenerator<IOBuf, void, undefined> {
  const end = start + lengthBytes;
  const pending: Promise<IOBuf>[] = [];
  let next = start;
  try {
    for (;;) {
      while (pending.length < READ_AHEAD && next < end) {
        const to = Math.min(end, next - (next % PIECE_BYTES) + PIECE_BYTES);
        const piece = readPiece(file, next, to - next);
        // It is looked at when its turn comes, which may be after it has failed.
        piece.catch(() => {});
        pending.push(piece);
        next = to;
      }
      const first = pending.shift();
      if (first === undefined) return;
      using piece = await first;
      yield piece;
    }
  } finally {
    // The peer has gone: what is on its way is read to its end and freed.
    for (const late of pending) {
      late.then(
        (piece) => piece[Symbol.dispose](),
        () => {},
      );
    }
  }
}

async function readPiece(file: OpenFile, start: number, lengthBytes: number): Promise<IOBuf> {
  const piece = await file.file.read(start, lengthBytes);
  if (piece.sizeBytes === lengthBytes) return piece;
  piece[Symbol.dispose]();
  throw new SunstarError(
    'SUNSTAR_FILE_CHANGED',
    `The file '${file.path}' became shorter while it was sent. Replace published files by rename.`,
  );
}
