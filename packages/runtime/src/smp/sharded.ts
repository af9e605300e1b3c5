import { SunstarError } from '../errors.js';
import { type CallOptions, checkCallOptions } from './call-options.js';
import type { LocalService } from './directory.js';
import type { ShardLoad } from './load-table.js';
import { callLocally, LocalCall } from './local-call.js';
import type { Mesh } from './mesh.js';
import { noTarget, Route } from './route.js';
import type { ServiceOptions } from './service-options.js';
import { uncaught } from './uncaught.js';

// biome-ignore lint/suspicious/noExplicitAny: only `any` matches the parameters of every method.
type AnyMethod = (...args: any[]) => unknown;

/** The names of the methods of a service. */
export type MethodName<T> = { [K in keyof T]: T[K] extends AnyMethod ? K : never }[keyof T] & string;

type Arguments<F> = F extends (...args: infer A) => unknown ? A : never;
type Result<F> = F extends (...args: never[]) => infer R ? Arrived<Awaited<R>> : never;
/** An async iterable is consumed where it is asked for; whatever else it can do stays behind. */
type Arrived<R> = R extends AsyncIterable<infer Element> ? AsyncIterable<Element> : R;

/** A service on one shard: each method returns a promise. */
export type Remote<T> = {
  readonly [K in MethodName<T>]: (...args: Arguments<T[K]>) => Promise<Result<T[K]>>;
};

/** A service on several shards: each method returns all results, by rising shard number. */
export type RemoteAll<T> = {
  readonly [K in MethodName<T>]: (...args: Arguments<T[K]>) => Promise<Result<T[K]>[]>;
};

/** A service on one shard, one way: nothing comes back. */
export type OneWay<T> = { readonly [K in MethodName<T>]: (...args: Arguments<T[K]>) => void };

/** Options of {@link Sharded.pickShard}. */
export interface PickOptions {
  /** The shards to choose from. @default all */
  readonly candidates?: readonly number[];
  /** How old what is known of a shard may be, in milliseconds. @default 1,000 */
  readonly maxAgeMs?: number;
  /** Numbers from 0 to below 1. @default Math.random */
  readonly random?: () => number;
}

/** How long {@link CallOptions.refuseUnmeetable} believes what a shard has told. */
const BELIEVED_MS = 1000;

type Method<R> = (...args: unknown[]) => R;
type Methods<R> = Record<string, Method<R>>;

/**
 * A service: one instance of a class on every shard, which only its shard touches, and typed ways to call
 * the others. After Seastar's `sharded<>`.
 *
 * Arguments and results are copied (see docs/smp.md for what can be), except those of calls to this shard
 * itself, which are passed as they are. All methods of a remote object are the instance's methods, those of
 * its classes and functions in its fields; `#private` ones are not reachable.
 */
export class Sharded<T extends object> {
  /** The name under which every shard has registered it. */
  readonly name: string;
  /** This shard's instance. */
  readonly local: T;
  /** Calls every shard, this one included. */
  readonly onAll: RemoteAll<T>;
  /** Calls every shard but this one. */
  readonly onOthers: RemoteAll<T>;
  readonly #mesh: Mesh;
  readonly #service: LocalService;
  readonly #remotes: Remote<T>[] = [];
  readonly #oneWays: OneWay<T>[] = [];
  readonly #defaults: CallOptions | undefined;
  readonly #all: readonly number[];
  /** The service on one shard with options. */
  readonly #Limited: new (
    shardId: number,
    options: CallOptions,
  ) => object;
  #stopped: Promise<void> | undefined;

  /** For the mesh: `Mesh.sharded()` makes one when every shard has its instance. */
  constructor(mesh: Mesh, service: LocalService, options: ServiceOptions) {
    const defaults = defaultsOf(options);
    this.#defaults = defaults;
    this.#mesh = mesh;
    this.#service = service;
    this.name = service.name;
    this.local = service.instance as T;
    const { methods } = service;
    for (let shardId = 0; shardId < mesh.shardCount; shardId++) {
      const own = shardId === mesh.shardId;
      this.#remotes.push(
        tableOf(methods, (name) =>
          own ? localCall(service, name) : remoteCall(mesh, shardId, service, name, defaults),
        ),
      );
      this.#oneWays.push(
        tableOf(methods, (name) =>
          own ? localNotice(mesh, service, name) : remoteNotice(mesh, shardId, service, name),
        ),
      );
    }
    this.#Limited = limited(mesh, service);
    this.#all = this.#remotes.map((_, shardId) => shardId);
    const remotes = this.#remotes as unknown as Methods<Promise<unknown>>[];
    this.onAll = tableOf(methods, (name) => fanOut(remotes, name));
    const others = remotes.filter((_, shardId) => shardId !== mesh.shardId);
    this.onOthers = tableOf(methods, (name) => fanOut(others, name));
  }

  /**
   * The service on one shard. Without options, the object is made once: keep it or ask again, both are cheap.
   * With options, call its methods on it: `counters.on(1, { timeoutMs: 50 }).increment('visits')`.
   *
   * A call rejects with what the method threw, or with a SunstarError: `SUNSTAR_SHARD_STOPPED`,
   * `SUNSTAR_SMP_OVERLOADED`, `SUNSTAR_NOT_CLONEABLE`, `SUNSTAR_MESSAGE_TOO_LARGE`,
   * `SUNSTAR_MESSAGE_TOO_DEEP`, `SUNSTAR_OUT_OF_MEMORY`, `SUNSTAR_NO_SUCH_METHOD`; with options also with
   * `SUNSTAR_CALL_TIMEOUT`, `SUNSTAR_SERVICE_GROUP_FULL`, `SUNSTAR_DEADLINE_UNMEETABLE`, or the reason of the signal.
   *
   * @param shardId - 0 to the number of shards − 1.
   * @throws SunstarError `SUNSTAR_NO_SUCH_SHARD`, `SUNSTAR_INVALID_OPTION`
   */
  on(shardId: number, options?: CallOptions): Remote<T> {
    const remote = this.#remotes[shardId] ?? this.#noSuchShard(shardId);
    if (options === undefined) return remote;
    const full = this.#defaults === undefined ? options : { ...this.#defaults, ...options };
    checkCallOptions(full);
    return new this.#Limited(shardId, full) as unknown as Remote<T>;
  }

  /**
   * The service on one shard, without an answer: what a method returns is dropped, what it throws becomes
   * an unhandled rejection of the shard that ran it. Cheaper than a call.
   *
   * Its methods throw when the message cannot be sent, with the codes of `on()`.
   */
  notify(shardId: number): OneWay<T> {
    return this.#oneWays[shardId] ?? this.#noSuchShard(shardId);
  }

  /**
   * Runs a function on this shard for every shard's remote, all at once.
   *
   * @returns The results by rising shard number. Rejects when all have ended and one failed, with the error
   *   of the lowest shard.
   */
  map<R>(task: (remote: Remote<T>, shardId: number) => R | Promise<R>): Promise<R[]> {
    return gather(this.#remotes.map(async (remote, shardId) => task(remote, shardId)));
  }

  /**
   * Calls a method on every shard and folds the results by rising shard number.
   *
   * @param method - The name of a method that needs no arguments, or a function as in `map()`.
   */
  mapReduce<K extends MethodName<T>, A>(
    method: K,
    initial: A,
    reduce: (accumulated: A, value: Result<T[K]>, shardId: number) => A,
  ): Promise<A>;
  mapReduce<R, A>(
    task: (remote: Remote<T>, shardId: number) => R | Promise<R>,
    initial: A,
    reduce: (accumulated: A, value: R, shardId: number) => A,
  ): Promise<A>;
  async mapReduce(
    task: string | ((remote: Remote<T>, shardId: number) => unknown),
    initial: unknown,
    reduce: (accumulated: unknown, value: never, shardId: number) => unknown,
  ): Promise<unknown> {
    const values =
      typeof task === 'string'
        ? await (this.onAll as unknown as Methods<Promise<unknown[]>>)[task]()
        : await this.map(task);
    return values.reduce(
      (accumulated, value, shardId) => reduce(accumulated, value as never, shardId),
      initial,
    );
  }

  /**
   * What is known of the service on a shard: what came with its last answers to this shard. Sends nothing;
   * undefined when none has come yet, or the shard has stopped. For the own shard it is the state now.
   *
   * @throws SunstarError `SUNSTAR_NO_SUCH_SHARD`
   */
  load(shardId: number): ShardLoad | undefined {
    if (this.#remotes[shardId] === undefined) this.#noSuchShard(shardId);
    return this.#mesh.knownLoad.of(shardId, this.#service);
  }

  /**
   * The better one of two shards that are picked at random, for work that any shard can do: the one where fewer
   * calls wait and run, times how long they take. What is known of a shard counts for `maxAgeMs`; one of which
   * nothing is known counts as idle, but for what this shard has asked of it. Sends nothing.
   *
   * The idea is Mitzenmacher's: two choices avoid the longest queues almost as well as looking at all, and
   * unlike the best of all they do not send every shard's work to the same place.
   *
   * @throws SunstarError `SUNSTAR_NO_SUCH_SHARD`, `SUNSTAR_INVALID_OPTION`
   */
  pickShard(options: PickOptions = {}): number {
    const { candidates = this.#all, maxAgeMs = 1000, random = Math.random } = options;
    const { length } = candidates;
    if (length === 0)
      throw new SunstarError('SUNSTAR_INVALID_OPTION', 'There is no candidate to pick a shard from.');
    for (const shardId of candidates) if (this.#remotes[shardId] === undefined) this.#noSuchShard(shardId);
    if (length === 1) return candidates[0];
    const first = Math.floor(random() * length);
    const other = Math.floor(random() * (length - 1));
    const left = candidates[first];
    const right = candidates[other < first ? other : other + 1];
    const leftCost = this.#mesh.knownLoad.cost(left, this.#service, maxAgeMs);
    return this.#mesh.knownLoad.cost(right, this.#service, maxAgeMs) < leftCost ? right : left;
  }

  /** Runs the `stop()` method of this shard's instance if it has one, once. Other shards are not touched. */
  stop(): Promise<void> {
    this.#stopped ??= this.#stopLocal();
    return this.#stopped;
  }

  async #stopLocal(): Promise<void> {
    const instance = this.local as { stop?: unknown };
    if (typeof instance.stop === 'function') await (instance as { stop(): unknown }).stop();
  }

  #noSuchShard(shardId: number): never {
    throw new SunstarError(
      'SUNSTAR_NO_SUCH_SHARD',
      `There is no shard ${shardId}: they are numbered 0 to ${this.#remotes.length - 1}.`,
    );
  }
}

function tableOf<R>(names: readonly string[], make: (name: string) => Method<unknown>): R {
  const table: Methods<unknown> = {};
  for (const name of names) {
    // Not by assignment: a method may be called __proto__.
    Object.defineProperty(table, name, { value: make(name), enumerable: true });
  }
  return Object.freeze(table) as R;
}

function localCall(service: LocalService, name: string): Method<Promise<unknown>> {
  return (...args) => callLocally(service, name, args);
}

/** A class whose instances have the methods of a service, on one shard and with the same options for all. */
function limited(mesh: Mesh, service: LocalService): new (shardId: number, options: CallOptions) => object {
  class Limited {
    readonly #shardId: number;
    readonly #options: CallOptions;

    constructor(shardId: number, options: CallOptions) {
      this.#shardId = shardId;
      this.#options = options;
    }

    static call(limits: Limited, name: string, args: readonly unknown[]): Promise<unknown> {
      const shardId = limits.#shardId;
      if (shardId === mesh.shardId) {
        const what = `${service.name}.${name} on this shard`;
        return new LocalCall(shardId, what, limits.#options, mesh.clocks).run(service, name, args);
      }
      const target = mesh.target(shardId, service.name, name);
      if (target < 0) return Promise.reject(noTarget(mesh, shardId, service, name));
      const refusal = unmeetable(mesh, shardId, service, limits.#options);
      if (refusal !== undefined) return Promise.reject(refusal);
      return mesh.callWith(mesh.link(shardId), target, args, limits.#options);
    }
  }
  for (const name of service.methods) {
    Object.defineProperty(Limited.prototype, name, {
      value(this: Limited, ...args: unknown[]) {
        return Limited.call(this, name, args);
      },
    });
  }
  return Limited;
}

function remoteCall(
  mesh: Mesh,
  shardId: number,
  service: LocalService,
  name: string,
  defaults: CallOptions | undefined,
): Method<Promise<unknown>> {
  const route = new Route(mesh, shardId, service, name);
  if (defaults !== undefined) {
    return (...args) =>
      route.find()
        ? mesh.callWith(route.link, route.target, args, defaults)
        : Promise.reject(route.missing());
  }
  return (...args) =>
    route.find() ? mesh.call(route.link, route.target, args) : Promise.reject(route.missing());
}

function localNotice(mesh: Mesh, service: LocalService, name: string): Method<void> {
  const call = localCall(service, name);
  return (...args) => {
    call(...args).catch((error: unknown) => uncaught(service.name, name, mesh.shardId, error));
  };
}

function remoteNotice(mesh: Mesh, shardId: number, service: LocalService, name: string): Method<void> {
  const route = new Route(mesh, shardId, service, name);
  return (...args) => {
    if (!route.find()) throw route.missing();
    mesh.notify(route.link, route.target, args);
  };
}

function fanOut(remotes: readonly Methods<Promise<unknown>>[], name: string): Method<Promise<unknown[]>> {
  return (...args) => gather(remotes.map((remote) => remote[name](...args)));
}

async function gather<R>(calls: readonly Promise<R>[]): Promise<R[]> {
  const outcomes = await Promise.allSettled(calls);
  return outcomes.map((outcome) => {
    if (outcome.status === 'rejected') throw outcome.reason;
    return outcome.value;
  });
}

/** What the calls of a service have for options unless they say otherwise. */
function defaultsOf({ serviceGroup, timeoutMs }: ServiceOptions): CallOptions | undefined {
  if (serviceGroup === undefined && timeoutMs === undefined) return undefined;
  return {
    ...(serviceGroup === undefined ? {} : { serviceGroup }),
    ...(timeoutMs === undefined ? {} : { timeoutMs }),
  };
}

/** Why a call will not be answered in time, as far as is known and was asked for. */
function unmeetable(
  mesh: Mesh,
  shardId: number,
  service: LocalService,
  { refuseUnmeetable, timeoutMs = Number.POSITIVE_INFINITY }: CallOptions,
): SunstarError | undefined {
  if (refuseUnmeetable !== true) return undefined;
  const load = mesh.knownLoad.of(shardId, service);
  if (load === undefined || load.ageMs > BELIEVED_MS || !(load.serviceLatencyUs > timeoutMs * 1000))
    return undefined;
  return new SunstarError(
    'SUNSTAR_DEADLINE_UNMEETABLE',
    `Service '${service.name}' on shard ${shardId} took ${(load.serviceLatencyUs / 1000).toPrecision(3)} ms for a call ` +
      `${Math.round(load.ageMs)} ms ago, and this one has ${timeoutMs} ms. Ask another shard (pickShard), later, ` +
      'or give it more time.',
  );
}
