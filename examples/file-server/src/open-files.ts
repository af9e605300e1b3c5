import { realpath } from 'node:fs/promises';
import { sep } from 'node:path';
import { stat } from '@sunstar/dma-file';
import { SunstarError } from '@sunstar/runtime';
import { OpenFile } from './open-file.js';

/** What {@link OpenFiles} needs to know. */
export interface OpenFilesOptions {
  /** The directory that is published, without symbolic links in its path. */
  readonly root: string;
  /** Files that stay open. */
  readonly maxOpenFiles: number;
  /** How long a file is served without a look at whether it has changed, in milliseconds. */
  readonly revalidateMs: number;
  readonly nowMs: () => number;
  /** A file is no longer served: what was kept of it is worth nothing. */
  readonly onRetired: (file: OpenFile) => void;
}

/** The errors that mean that there is nothing to serve under a name. */
const ABSENT: ReadonlySet<string> = new Set([
  'SUNSTAR_ENOENT',
  'SUNSTAR_ENOTDIR',
  'SUNSTAR_ELOOP',
  'SUNSTAR_ENAMETOOLONG',
  'SUNSTAR_EISDIR',
  'ENOENT',
  'ENOTDIR',
  'ELOOP',
  'ENAMETOOLONG',
]);

/** What a name stands for. */
export type Found = OpenFile | 'directory' | undefined;

/** The files of a directory that were asked for last, open. Each is looked at again after a while. */
export class OpenFiles {
  readonly #options: OpenFilesOptions;
  /** The root with a separator behind it. */
  readonly #prefix: string;
  /** In the order of their last use. */
  readonly #files = new Map<string, OpenFile>();
  readonly #opening = new Map<string, Promise<Found>>();

  constructor(options: OpenFilesOptions) {
    this.#options = options;
    this.#prefix = options.root.endsWith(sep) ? options.root : options.root + sep;
  }

  /** How many are open. */
  get size(): number {
    return this.#files.size;
  }

  /** The file when it is open and was looked at lately; takes no time. */
  peek(relative: string): OpenFile | undefined {
    const file = this.#files.get(relative);
    if (file === undefined || this.#options.nowMs() - file.checkedMs >= this.#options.revalidateMs) {
      return undefined;
    }
    return file;
  }

  /** The file, opened or looked at again. */
  get(relative: string): Promise<Found> {
    const present = this.peek(relative);
    if (present !== undefined) return Promise.resolve(present);
    // Those who ask for the same file at the same time share the answer.
    let opening = this.#opening.get(relative);
    if (opening === undefined) {
      opening = this.#refresh(relative).finally(() => this.#opening.delete(relative));
      this.#opening.set(relative, opening);
    }
    return opening;
  }

  /** Closes all that nobody uses, and the others when they are done. */
  close(): void {
    for (const file of this.#files.values()) this.#retire(file);
    this.#files.clear();
  }

  async #refresh(relative: string): Promise<Found> {
    const { nowMs } = this.#options;
    const path = this.#prefix + relative;
    try {
      const present = this.#files.get(relative);
      if (present !== undefined) {
        this.#files.delete(relative);
        if (await isStill(present, path)) {
          present.checkedMs = nowMs();
          this.#add(relative, present);
          return present;
        }
        this.#retire(present);
      }
      // No link on the way may lead out of the directory.
      const real = await realpath(path);
      if (!real.startsWith(this.#prefix)) return undefined;
      const opened = await OpenFile.open(real, nowMs());
      if (opened instanceof OpenFile) this.#add(relative, opened);
      return opened;
    } catch (error) {
      if (isAbsent(error)) return undefined;
      throw error;
    }
  }

  #add(relative: string, file: OpenFile): void {
    this.#files.set(relative, file);
    for (const [key, oldest] of this.#files) {
      if (this.#files.size <= this.#options.maxOpenFiles) break;
      this.#files.delete(key);
      this.#retire(oldest);
    }
  }

  #retire(file: OpenFile): void {
    this.#options.onRetired(file);
    file.retire();
  }
}

/** Whether a path still leads to this file; an error says that it does not. */
async function isStill(file: OpenFile, path: string): Promise<boolean> {
  try {
    return file.isStill(await stat(path));
  } catch {
    // What is wrong shows again when the file is opened anew.
    return false;
  }
}

function isAbsent(error: unknown): boolean {
  const code = error instanceof SunstarError ? error.code : (error as NodeJS.ErrnoException).code;
  return code !== undefined && ABSENT.has(code);
}
