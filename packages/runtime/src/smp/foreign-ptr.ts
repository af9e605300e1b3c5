import { SunstarError } from '../errors.js';
import type { CallOptions } from './call-options.js';
import { type Parcel, registerTransfer } from './codec/transfer.js';
import type { Link } from './link.js';
import type { Mesh } from './mesh.js';
import { Peer } from './peer.js';
import type { Remote } from './sharded.js';

const DEBUG = process.env.SUNSTAR_DEBUG === '1';

/** Who has the object, and how to let go of it; outlives the pointer that the program has. */
interface Claim {
  readonly mesh: Mesh;
  readonly ownerId: number;
  /** The connection with its shard as it was then; undefined there. */
  readonly owner: Link | undefined;
  readonly objectId: number;
  /** Where it came from, where it was not made. */
  readonly letGo: () => void;
  /** Where it was made or received, in debug mode. */
  readonly stack: string | undefined;
}

const forgotten = new FinalizationRegistry<Claim>((claim) => {
  claim.letGo();
  if (claim.stack === undefined) return;
  process.emitWarning(
    `A foreign pointer to an object of shard ${claim.ownerId} was collected without being disposed of. It came\n${claim.stack}`,
    { type: 'SunstarLeak', code: 'SUNSTAR_FOREIGN_POINTER_LEAKED' },
  );
});

/**
 * The only handle of an object that lives on one shard, its owner, and that others may hold and pass on without
 * touching it: a connection, a file, a transaction. Made with `shard.foreign(object)`. As an argument or a result
 * of a call it moves: the sender's pointer is spent. Whoever has it calls the object's methods with {@link on};
 * when it is disposed of, or a shard that has it or passed it on stops, the owner ends the object.
 *
 * A pointer that is garbage-collected counts as disposed of; in debug mode (`SUNSTAR_DEBUG=1`) a warning says so,
 * with the stack where it was made or received. After Seastar's `foreign_ptr`.
 */
export class ForeignPtr<T extends object> implements Disposable {
  #claim: Claim | undefined;

  /** For `shard.foreign()` and the codec. @internal */
  constructor(mesh: Mesh, ownerId: number, objectId: number, letGo: () => void) {
    const stack = DEBUG ? (new Error().stack ?? '').split('\n').slice(2).join('\n') : undefined;
    const owner = ownerId === mesh.shardId ? undefined : mesh.link(ownerId);
    this.#claim = { mesh, ownerId, owner, objectId, letGo, stack };
    forgotten.register(this, this.#claim, this);
  }

  /** The shard on which the object lives. @throws SunstarError `SUNSTAR_FOREIGN_POINTER_SPENT` */
  get owner(): number {
    return this.#held().ownerId;
  }

  /** Whether it was neither moved nor disposed of. */
  get isHeld(): boolean {
    return this.#claim !== undefined;
  }

  /**
   * The object itself, on its own shard.
   *
   * @throws SunstarError `SUNSTAR_FOREIGN_SHARD` on another, `SUNSTAR_FOREIGN_POINTER_SPENT`
   */
  get(): T {
    const { mesh, ownerId, objectId } = this.#held();
    if (mesh.shardId === ownerId) return mesh.foreignObjects.get(objectId) as T;
    throw new SunstarError(
      'SUNSTAR_FOREIGN_SHARD',
      `The object lives on shard ${ownerId} and cannot be touched on shard ${mesh.shardId}. ` +
        'Call its methods with on(), or send the pointer to its shard.',
    );
  }

  /**
   * The object's methods, run on its shard: `await pointer.on().write(line)`. On its own shard they run at once.
   * They reject as those of {@link Sharded.on} do.
   *
   * @throws SunstarError `SUNSTAR_FOREIGN_POINTER_SPENT`
   */
  on(options: CallOptions = {}): Remote<T> {
    const { mesh, owner, objectId } = this.#held();
    return new Proxy({} as Remote<T>, {
      get(_, method) {
        // Or it would be taken for a promise.
        if (typeof method === 'symbol' || method === 'then') return undefined;
        return (...args: unknown[]) => mesh.callForeign(owner, [objectId, method, ...args], options);
      },
    });
  }

  /** Lets go: the owner ends the object. Does nothing when it was moved or disposed of. */
  [Symbol.dispose](): void {
    this.#spend()?.letGo();
  }

  /** For the codec. @internal */
  pack(): Parcel {
    const { ownerId, objectId, letGo } = this.#held();
    let moved = false;
    return {
      numbers: [ownerId, objectId],
      sent: () => {
        moved = true;
        this.#spend();
      },
      release() {
        if (moved) letGo();
      },
    };
  }

  #spend(): Claim | undefined {
    const claim = this.#claim;
    this.#claim = undefined;
    forgotten.unregister(this);
    return claim;
  }

  #held(): Claim {
    if (this.#claim !== undefined) return this.#claim;
    throw new SunstarError(
      'SUNSTAR_FOREIGN_POINTER_SPENT',
      'The foreign pointer was moved to another shard, or disposed of. Use it where it went.',
    );
  }
}

registerTransfer<ForeignPtr<object>>({
  name: 'foreign',
  valueClass: ForeignPtr,
  pack: (pointer) => pointer.pack(),
  receive([ownerId, objectId], token, lender) {
    if (!(lender instanceof Peer)) throw new SunstarError('SUNSTAR_BROKEN_INVARIANT', 'Not sent by a shard.');
    // Back the way it came: each shard on it waits for the next, and takes all back when that one crashes.
    return new ForeignPtr(lender.mesh, ownerId, objectId, () => lender.giveBack(token, true));
  },
});
