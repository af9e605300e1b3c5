import { SunstarError } from '../errors.js';
import { FOREIGN_SERVICE } from './foreign-objects.js';
import type { Callable } from './invoke.js';
import { MAX_NAMES, methodOf, serviceOf } from './message.js';
import { ServiceFields } from './service-fields.js';

/** The largest number of services on one shard; the number above is for foreign objects. */
export const MAX_SERVICES: number = MAX_NAMES - 1;
/** The largest number of methods of one service. */
export const MAX_METHODS: number = MAX_NAMES;

/** A service that has an instance on this shard. */
export interface LocalService {
  readonly id: number;
  readonly name: string;
  readonly instance: object;
  readonly methods: readonly string[];
  /** What it tells with its answers; undefined when it declares nothing. */
  readonly fields: ServiceFields | undefined;
  /** The scheduling group in which its methods run; negative: that of their caller. */
  readonly groupId: number;
}

/** What a peer told about one of its services. */
export interface PeerService {
  readonly id: number;
  readonly methods: readonly string[];
  /** The names of its fields. */
  readonly fields: readonly string[];
}

interface Waiting {
  readonly missing: Set<number>;
  readonly resolve: () => void;
  readonly reject: (error: unknown) => void;
  readonly timer: NodeJS.Timeout;
}

/** Which services there are: this shard's instances, and those that the peers have told of. */
export class Directory {
  readonly #shardId: number;
  readonly #local: LocalService[] = [];
  readonly #names = new Map<string, LocalService>();
  readonly #peers: Map<string, PeerService>[] = [];
  readonly #waiting = new Map<string, Waiting>();

  constructor(shardId: number, shardCount: number) {
    this.#shardId = shardId;
    for (let peer = 0; peer < shardCount; peer++) this.#peers.push(new Map());
  }

  /** This shard's services in the order of their start. */
  get local(): readonly LocalService[] {
    return this.#local;
  }

  /** @throws SunstarError `SUNSTAR_SERVICE_EXISTS`, `SUNSTAR_TOO_MANY_SERVICES`, `SUNSTAR_INVALID_SERVICE` */
  checkName(name: string): void {
    if (name === '' || name.length > 255) {
      throw new SunstarError('SUNSTAR_INVALID_SERVICE', 'The name of a service has 1 to 255 characters.');
    }
    if (this.#names.has(name)) {
      throw new SunstarError(
        'SUNSTAR_SERVICE_EXISTS',
        `Shard ${this.#shardId} has a service '${name}' already. Give each service a name of its own.`,
      );
    }
    if (this.#local.length >= MAX_SERVICES) {
      throw new SunstarError(
        'SUNSTAR_TOO_MANY_SERVICES',
        `A shard has at most ${MAX_SERVICES} services. Put what belongs together into one service.`,
      );
    }
  }

  /** Adds an instance of this shard. */
  add(name: string, instance: object, fieldNames: readonly string[], groupId: number): LocalService {
    const service: LocalService = {
      id: this.#local.length,
      name,
      instance,
      methods: methodNames(name, instance),
      fields: fieldNames.length === 0 ? undefined : new ServiceFields(name, instance, fieldNames),
      groupId,
    };
    this.#local.push(service);
    this.#names.set(name, service);
    return service;
  }

  /** Takes note of a peer's service. */
  announced(peerId: number, name: string, service: PeerService): void {
    this.#peers[peerId].set(name, service);
    const waiting = this.#waiting.get(name);
    if (waiting?.missing.delete(peerId) && waiting.missing.size === 0) this.#settle(name, waiting);
  }

  /** A peer's service, if the peer has told of it. */
  peerService(peerId: number, name: string): PeerService | undefined {
    return this.#peers[peerId].get(name);
  }

  /**
   * Resolves when all these peers have told of the service.
   *
   * @throws SunstarError `SUNSTAR_SERVICE_TIMEOUT` that names the shards which did not.
   */
  complete(name: string, peerIds: readonly number[], timeoutMs: number): Promise<void> {
    const missing = new Set(peerIds.filter((peer) => !this.#peers[peer].has(name)));
    if (missing.size === 0) return Promise.resolve();
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        const shards = [...missing].join(', ');
        this.#waiting.delete(name);
        reject(
          new SunstarError(
            'SUNSTAR_SERVICE_TIMEOUT',
            `Service '${name}' did not start on shard ${shards} within ${timeoutMs} ms. ` +
              'Every shard has to start the same services under the same names.',
          ),
        );
      }, timeoutMs);
      this.#waiting.set(name, { missing, resolve, reject, timer });
    });
  }

  /** A peer was started again: it has no service until it tells of one, and was told of none. */
  forget(peerId: number): void {
    this.#peers[peerId].clear();
    for (const { fields } of this.#local) fields?.forget(peerId);
  }

  /** Gives up waiting for a peer that is gone. */
  peerGone(peerId: number, error: unknown): void {
    for (const [name, waiting] of this.#waiting) {
      if (waiting.missing.has(peerId)) this.#settle(name, waiting, error);
    }
  }

  /** `counters.increment` for the target of a call to a peer. */
  describe(peerId: number, target: number): string {
    for (const [name, service] of this.#peers[peerId]) {
      if (service.id === serviceOf(target)) return `${name}.${service.methods[methodOf(target)]}`;
    }
    return serviceOf(target) === FOREIGN_SERVICE ? 'a foreign object' : 'an unknown method';
  }

  invariants(): void {
    const ok =
      this.#names.size === this.#local.length &&
      this.#local.every((service, id) => service.id === id && this.#names.get(service.name) === service) &&
      [...this.#waiting.values()].every((waiting) => waiting.missing.size > 0);
    if (!ok) throw new SunstarError('SUNSTAR_BROKEN_INVARIANT', 'The directory of services is inconsistent.');
  }

  #settle(name: string, waiting: Waiting, error?: unknown): void {
    clearTimeout(waiting.timer);
    this.#waiting.delete(name);
    if (error === undefined) waiting.resolve();
    else waiting.reject(error);
  }
}

/** An instance as something whose methods are called by name. */
export function callable(service: LocalService): Callable {
  return service.instance as Callable;
}

/** The names of an instance's methods: of its class, of the classes above, and functions in its own fields. */
function methodNames(service: string, instance: object): string[] {
  const names = new Set<string>();
  let level: unknown = instance;
  while (level !== null && level !== Object.prototype) {
    for (const [name, descriptor] of Object.entries(Object.getOwnPropertyDescriptors(level as object))) {
      if (name !== 'constructor' && typeof descriptor.value === 'function') names.add(name);
    }
    level = Object.getPrototypeOf(level);
  }
  if (names.has('then')) {
    throw new SunstarError(
      'SUNSTAR_INVALID_SERVICE',
      `Service '${service}' has a method named then, which would make its proxies promises. Rename it.`,
    );
  }
  if (names.size > MAX_METHODS) {
    throw new SunstarError(
      'SUNSTAR_INVALID_SERVICE',
      `Service '${service}' has more than ${MAX_METHODS} methods.`,
    );
  }
  return [...names];
}
