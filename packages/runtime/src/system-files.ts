import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';

/**
 * The files in which the kernel describes the machine and this process, `/proc` and `/sys`. Below another root they
 * can describe a machine that is not there: tests use that.
 */
export class SystemFiles {
  readonly #root: string;

  /** @param root - The directory that stands for `/`. */
  constructor(root = '/') {
    this.#root = root;
  }

  /** The text of a file without white space around it; undefined when it cannot be read. */
  read(file: string): string | undefined {
    try {
      return readFileSync(path.join(this.#root, file), 'latin1').trim();
    } catch {
      return undefined;
    }
  }

  /** The names in a directory; none when it cannot be read. */
  list(directory: string): string[] {
    try {
      return readdirSync(path.join(this.#root, directory));
    } catch {
      return [];
    }
  }

  /** The rest of the first line that begins with `name` and a colon or white space, as in `/proc/self/status`. */
  field(file: string, name: string): string | undefined {
    for (const line of (this.read(file) ?? '').split('\n')) {
      if (line.startsWith(name) && /^[:\s]/.test(line.slice(name.length)))
        return line.slice(name.length).replace(/^[:\s]+/, '');
    }
    return undefined;
  }
}
