import { SunstarError } from '../errors.js';
import type { LocalService } from './directory.js';
import type { Link } from './link.js';
import type { Mesh } from './mesh.js';

/** The way to a method of a peer's service; found anew when the peer was started again. */
export class Route {
  link: Link;
  target: number;
  readonly #mesh: Mesh;
  readonly #shardId: number;
  readonly #service: LocalService;
  readonly #name: string;

  constructor(mesh: Mesh, shardId: number, service: LocalService, name: string) {
    this.#mesh = mesh;
    this.#shardId = shardId;
    this.#service = service;
    this.#name = name;
    this.link = mesh.link(shardId);
    this.target = mesh.target(shardId, service.name, name);
  }

  /** Whether the peer has the method, as far as is known. */
  find(): boolean {
    // One that was started again has another link: the old one stays stopped.
    if (!this.link.stopped && this.target >= 0) return true;
    const link = this.#mesh.link(this.#shardId);
    if (link === this.link && this.target >= 0) return true;
    const target = this.#mesh.target(this.#shardId, this.#service.name, this.#name);
    if (target < 0) return false;
    this.link = link;
    this.target = target;
    return true;
  }

  missing(): SunstarError {
    return noTarget(this.#mesh, this.#shardId, this.#service, this.#name);
  }
}

/** Why a call cannot be sent to a peer. */
export function noTarget(mesh: Mesh, shardId: number, service: LocalService, name: string): SunstarError {
  if (!mesh.hasService(shardId, service.name)) {
    return new SunstarError(
      'SUNSTAR_SHARD_STOPPED',
      `Shard ${shardId} was started again, and has not started service '${service.name}' yet: ${name} was not sent.`,
    );
  }
  return new SunstarError(
    'SUNSTAR_NO_SUCH_METHOD',
    `Service '${service.name}' has no method ${name} on shard ${shardId}. Start the same class on every shard.`,
  );
}
