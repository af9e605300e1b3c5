import { SunstarError } from '../errors.js';
import type { LocalService } from './directory.js';
import { MAX_NAMES, targetOf } from './message.js';

/** The number under which every shard serves the objects that others point to. */
export const FOREIGN_SERVICE: number = MAX_NAMES - 1;
/** The target of calls to them. */
export const FOREIGN_TARGET: number = targetOf(FOREIGN_SERVICE, 0);
/** Objects of one shard that others may point to at the same time. */
export const MAX_FOREIGN_OBJECTS = 1_048_576;

/** Ends an object when nobody points to it any more. */
export type EndObject<T> = (object: T) => unknown;

interface Entry {
  readonly object: object;
  readonly end: EndObject<object>;
}

/** The objects of this shard that others may point to. Its only method is called by foreign pointers. */
export class ForeignObjects {
  readonly #entries = new Map<number, Entry>();
  readonly #shardId: number;
  #lastId = 0;

  constructor(shardId: number) {
    this.#shardId = shardId;
  }

  /** How many there are. */
  get size(): number {
    return this.#entries.size;
  }

  /** @throws SunstarError `SUNSTAR_TOO_MANY_FOREIGN_OBJECTS` */
  add(object: object, end: EndObject<object>): number {
    if (this.#entries.size >= MAX_FOREIGN_OBJECTS) {
      throw new SunstarError(
        'SUNSTAR_TOO_MANY_FOREIGN_OBJECTS',
        `Others point to ${MAX_FOREIGN_OBJECTS} objects of shard ${this.#shardId} already. Dispose of pointers sooner.`,
      );
    }
    this.#lastId++;
    this.#entries.set(this.#lastId, { object, end });
    return this.#lastId;
  }

  /** @throws SunstarError `SUNSTAR_FOREIGN_POINTER_SPENT` */
  get(id: number): object {
    const entry = this.#entries.get(id);
    if (entry !== undefined) return entry.object;
    throw new SunstarError(
      'SUNSTAR_FOREIGN_POINTER_SPENT',
      `The object of shard ${this.#shardId} that was pointed to is gone: its pointer was disposed of, or the shard that had it stopped.`,
    );
  }

  /** Runs a method of an object: what a {@link ForeignPtr} calls from another shard. */
  call(id: number, method: string, ...args: unknown[]): unknown {
    const object = this.get(id) as Record<string, unknown>;
    const code = method in Object.prototype ? undefined : object[method];
    if (typeof code === 'function') return (code as (...args: unknown[]) => unknown).apply(object, args);
    throw new SunstarError(
      'SUNSTAR_NO_SUCH_METHOD',
      `The object that is pointed to has no method ${method}.`,
    );
  }

  /** Nobody points to an object any more. What ending it throws is an unhandled rejection of this shard. */
  end(id: number): void {
    const entry = this.#entries.get(id);
    if (entry === undefined) return;
    this.#entries.delete(id);
    void (async () => entry.end(entry.object))();
  }
}

/** Unless told otherwise: the object's own `Symbol.asyncDispose` or `Symbol.dispose` method. */
export function endByItself(object: object): unknown {
  const { [Symbol.asyncDispose]: endLater, [Symbol.dispose]: end } = object as Partial<
    AsyncDisposable & Disposable
  >;
  return (endLater ?? end)?.call(object);
}

/** What serves the calls of objects that others point to. */
export function foreignService(objects: ForeignObjects): LocalService {
  return {
    id: FOREIGN_SERVICE,
    name: 'foreign object',
    instance: objects,
    methods: ['call'],
    fields: undefined,
    groupId: -1,
  };
}
