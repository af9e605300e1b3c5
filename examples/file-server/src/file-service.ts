import type { HttpHandler, HttpRequest, HttpResponse } from '@sunstar/example-http';
import type { IOBuf } from '@sunstar/iobuf';
import { Content } from './content.js';
import { OpenFile } from './open-file.js';
import { OpenFiles } from './open-files.js';
import type { FileServiceOptions } from './options.js';
import { requestPath } from './request-path.js';
import { type Selection, select } from './selection.js';

const TEXT = { 'Content-Type': 'text/plain; charset=utf-8' };

/** Serves the files of one directory on one shard. */
export class FileService {
  readonly #files: OpenFiles;
  readonly #content: Content;

  constructor(options: FileServiceOptions) {
    this.#content = new Content(options.cacheBytes);
    this.#files = new OpenFiles({
      root: options.root,
      maxOpenFiles: options.maxOpenFiles,
      revalidateMs: options.revalidateMs,
      // Not the reactor's clock: a request may come in a timer of Node's.
      nowMs: () => performance.now(),
      onRetired: (file) => this.#content.forget(file),
    });
  }

  /** Answers a request; at once when the file is open and the answer is in memory. */
  readonly handle: HttpHandler = (request, response) => {
    if (request.method !== 'GET' && request.method !== 'HEAD') {
      response.send(405, { ...TEXT, Allow: 'GET, HEAD' }, 'Only GET and HEAD.\n');
      return undefined;
    }
    const path = requestPath(request.target);
    if (path === null) {
      response.send(403, TEXT, 'There is no file with such a name.\n');
      return undefined;
    }
    const file = this.#files.peek(path);
    return file === undefined ? this.#find(path, request, response) : this.#serve(file, request, response);
  };

  /** What is kept in memory. */
  get cacheStats(): Content['stats'] {
    return this.#content.stats;
  }

  /** Closes all files when the last responses are out. */
  close(): Promise<void> {
    this.#files.close();
    return this.#content.close();
  }

  async #find(path: string, request: HttpRequest, response: HttpResponse): Promise<void> {
    const file = await this.#files.get(path);
    // Others may have taken its place among the open files meanwhile.
    if (file instanceof OpenFile && file.isRetired) return this.#find(path, request, response);
    if (file === undefined) response.send(404, TEXT, 'There is no such file.\n');
    else if (file === 'directory') {
      // Made anew: a target such as //host would lead to another server.
      const location = `/${path.split('/').map(encodeURIComponent).join('/')}/`;
      response.send(301, { ...TEXT, Location: location }, 'It is a directory.\n');
    } else await this.#serve(file, request, response);
  }

  #serve(file: OpenFile, request: HttpRequest, response: HttpResponse): void | Promise<void> {
    const selection = select(request, file);
    const { status, lengthBytes, fields } = selection;
    if (lengthBytes === 0 || request.method === 'HEAD') {
      response.start(status, fields, lengthBytes);
      if (lengthBytes > 0) response.end();
      return undefined;
    }
    const inMemory = this.#content.peek(file, selection.start, lengthBytes);
    if (inMemory?.sizeBytes !== lengthBytes) return this.#stream(file, selection, response, inMemory);
    response.send(status, fields, inMemory);
    inMemory[Symbol.dispose]();
    return undefined;
  }

  /** @param inMemory - The beginning, if that is there already; disposed here. */
  async #stream(
    file: OpenFile,
    selection: Selection,
    response: HttpResponse,
    inMemory: IOBuf | undefined,
  ): Promise<void> {
    const { status, lengthBytes, fields } = selection;
    const end = selection.start + lengthBytes;
    let at = selection.start;
    let isStarted = false;
    const write = (part: IOBuf): Promise<void> => {
      // What cannot be read at all is a 500, not half a response.
      if (!isStarted) response.start(status, fields, lengthBytes);
      isStarted = true;
      at += part.sizeBytes;
      return response.write(part);
    };
    file.use();
    try {
      let part = inMemory;
      while (part !== undefined) {
        using present = part;
        await write(present);
        part = at < end ? this.#content.peek(file, at, end - at) : undefined;
      }
      if (at < end) for await (const piece of this.#content.read(file, at, end - at)) await write(piece);
      response.end();
    } finally {
      file.release();
      if (file.isRetired) this.#content.forget(file);
    }
  }
}
