import type { AppendTarget, DirectoryStorage } from '@sunstar/dma-file';
import { type Completion, ERRNO, systemError } from '@sunstar/runtime';
import type { SegmentStorage, StorageLock } from '../../src/log/segment-storage.js';

/** What a storage is asked for; of a read, the name of the file. */
export type Asked = 'list' | 'open' | 'read' | 'rename' | 'remove' | 'sync';

/** A directory where what the test chooses fails with EIO. */
export class FailingStorage implements SegmentStorage {
  /** Whether an operation fails. */
  fails: (asked: Asked, name: string) => boolean = () => false;
  readonly #storage: DirectoryStorage;

  constructor(storage: DirectoryStorage) {
    this.#storage = storage;
  }

  lock(): Promise<StorageLock> {
    return this.#storage.lock();
  }

  async list(): Promise<string[]> {
    this.#ask('list', '');
    return this.#storage.list();
  }

  async open(name: string, create: boolean): Promise<AppendTarget> {
    this.#ask('open', name);
    const file = await this.#storage.open(name, create);
    const submitRead = file.submitRead.bind(file);
    file.submitRead = (completion: Completion, ...range): void => {
      if (this.fails('read', name)) file.defer({ complete: () => completion.complete(-ERRNO.EIO, 0) });
      else submitRead(completion, ...range);
    };
    return file;
  }

  async rename(from: string, to: string): Promise<void> {
    this.#ask('rename', from);
    await this.#storage.rename(from, to);
  }

  async remove(name: string): Promise<void> {
    this.#ask('remove', name);
    await this.#storage.remove(name);
  }

  async sync(): Promise<void> {
    this.#ask('sync', '');
    await this.#storage.sync();
  }

  #ask(asked: Asked, name: string): void {
    if (this.fails(asked, name)) throw systemError(asked, -ERRNO.EIO, name);
  }
}
