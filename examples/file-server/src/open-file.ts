import { DmaFile, type FileStat } from '@sunstar/dma-file';
import type { Fields } from '@sunstar/example-http';
import mime from 'mime';

/** A file that is being served: what its responses say of it, and its content. */
export class OpenFile {
  readonly path: string;
  readonly file: DmaFile;
  readonly sizeBytes: number;
  readonly etag: string;
  readonly lastModified: string;
  readonly contentType: string;
  /** What a response says of it. */
  readonly fields: Fields;
  /** … and of its content. */
  readonly contentFields: Fields;
  /** When the file on disk was last seen to be this one. */
  checkedMs: number;
  readonly #inode: number;
  readonly #modifiedMs: number;
  #users = 0;
  #isRetired = false;

  private constructor(path: string, file: DmaFile, stat: FileStat, nowMs: number) {
    this.path = path;
    this.file = file;
    this.sizeBytes = stat.sizeBytes;
    this.#inode = stat.inode;
    this.#modifiedMs = stat.modifiedMs;
    this.checkedMs = nowMs;
    this.etag = `"${stat.inode.toString(36)}-${stat.sizeBytes.toString(36)}-${Math.round(stat.modifiedMs * 1000).toString(36)}"`;
    this.lastModified = new Date(stat.modifiedMs).toUTCString();
    this.contentType = contentTypeOf(path);
    this.fields = { ETag: this.etag, 'Last-Modified': this.lastModified, 'Accept-Ranges': 'bytes' };
    this.contentFields = { ...this.fields, 'Content-Type': this.contentType };
  }

  /** Opens a file; undefined for what is neither a file nor a directory. */
  static async open(path: string, nowMs: number): Promise<OpenFile | 'directory' | undefined> {
    const file = await DmaFile.open(path, { flags: { read: true, noFollow: true }, whenFull: 'wait' });
    const stat = await file.stat();
    if (stat.isFile) return new OpenFile(path, file, stat, nowMs);
    await file.close();
    return stat.isDirectory ? 'directory' : undefined;
  }

  /** Whether somebody is sending from it. */
  get isUsed(): boolean {
    return this.#users > 0;
  }

  /** Whether the file on disk is still this one. */
  isStill(stat: FileStat): boolean {
    return (
      stat.inode === this.#inode && stat.sizeBytes === this.sizeBytes && stat.modifiedMs === this.#modifiedMs
    );
  }

  /** Whether it is closed, or will be when nobody sends from it. */
  get isRetired(): boolean {
    return this.#isRetired;
  }

  /** Keeps the file open until {@link release}. */
  use(): void {
    this.#users++;
  }

  release(): void {
    if (--this.#users === 0 && this.#isRetired) void this.file.close();
  }

  /** Closes it as soon as nobody sends from it. */
  retire(): void {
    this.#isRetired = true;
    if (this.#users === 0) void this.file.close();
  }
}

function contentTypeOf(path: string): string {
  const type = mime.getType(path) ?? 'application/octet-stream';
  return type.startsWith('text/') ? `${type}; charset=utf-8` : type;
}
