import { ObjectCache } from '@sunstar/dma-file';
import type { IOBuf } from '@sunstar/iobuf';
import { SunstarError } from '@sunstar/runtime';
import type { OpenFile } from './open-file.js';

/** Bytes that are read, kept and sent together; pieces begin at multiples of it. */
const PIECE_BYTES = 131_072;
/** Pieces of one response that are read ahead of the peer. */
const READ_AHEAD = 4;
/** Longer responses are sent step by step: one peer must not hold much memory that it does not take. */
const MAX_AT_ONCE_BYTES = 8 * PIECE_BYTES;

/** The contents of files: what was asked for last is in memory, the rest is read past the page cache. */
export class Content {
  readonly #cache: ObjectCache;

  /** @param cacheBytes - Memory for what is kept. */
  constructor(cacheBytes: number) {
    this.#cache = new ObjectCache({ name: 'files', limit: cacheBytes });
  }

  get stats(): ObjectCache['stats'] {
    return this.#cache.stats;
  }

  /** A part of a file, or its first MiB or so, if all of that is in memory. The caller disposes it. */
  peek(file: OpenFile, start: number, wantedBytes: number): IOBuf | undefined {
    const lengthBytes = Math.min(wantedBytes, MAX_AT_ONCE_BYTES - (start % PIECE_BYTES));
    const end = start + lengthBytes;
    const first = start - (start % PIECE_BYTES);
    let found: IOBuf | undefined;
    for (let offset = first; offset < end; offset += PIECE_BYTES) {
      const piece = this.#cache.get(file.file, offset);
      if (piece === undefined) {
        found?.[Symbol.dispose]();
        return undefined;
      }
      if (found === undefined) {
        found = piece;
      } else {
        found.take(piece);
        piece[Symbol.dispose]();
      }
    }
    if (found === undefined || found.sizeBytes < end - first) {
      found?.[Symbol.dispose]();
      return undefined;
    }
    found.trimFront(start - first);
    found.trimBack(found.sizeBytes - lengthBytes);
    return found;
  }

  /**
   * A part of a file, piece by piece, a few pieces read ahead. Each piece is disposed when the next is asked for: move
   * out of it what must stay. Fails when the file has become shorter meanwhile.
   */
  async *read(file: OpenFile, start: number, lengthBytes: number): AsyncGenerator<IOBuf, void, undefined> {
    const end = start + lengthBytes;
    const pending: Promise<IOBuf>[] = [];
    let next = start;
    try {
      for (;;) {
        while (pending.length < READ_AHEAD && next < end) {
          const to = Math.min(end, next - (next % PIECE_BYTES) + PIECE_BYTES);
          const piece = this.#piece(file, next, to);
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

  /** The file has changed, or is closed. */
  forget(file: OpenFile): void {
    this.#cache.invalidate(file.file);
  }

  close(): Promise<void> {
    return this.#cache.close();
  }

  /** What lies between two offsets of one piece. */
  async #piece(file: OpenFile, from: number, to: number): Promise<IOBuf> {
    const offset = from - (from % PIECE_BYTES);
    const wholeBytes = Math.min(PIECE_BYTES, file.sizeBytes - offset);
    const piece = await this.#cache.read(file.file, offset, wholeBytes);
    if (piece.sizeBytes === wholeBytes) {
      piece.trimFront(from - offset);
      piece.trimBack(piece.sizeBytes - (to - from));
      return piece;
    }
    piece[Symbol.dispose]();
    throw new SunstarError(
      'SUNSTAR_FILE_CHANGED',
      `The file '${file.path}' became shorter while it was sent. Replace published files by rename.`,
    );
  }
}
