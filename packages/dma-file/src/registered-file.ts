import { native } from '@sunstar/native';
import {
  ERRNO,
  errnoName,
  IORING_OP,
  IOSQE,
  type Reactor,
  type Registrations,
  type ShardContext,
} from '@sunstar/runtime';
import type { FileOperation } from './file-operation.js';

/** What the ring is to know ahead of a file's operations. */
export interface RegistrationOptions {
  readonly registerMemory: boolean;
  readonly registerDescriptor: boolean;
}

/** What registered operations need of the shard. */
export type RegistrationShard = Pick<ShardContext, 'memory' | 'log'> & {
  readonly reactor: { readonly registrations: Registrations };
};

/** What was refused on this thread and is in the log: once is enough. */
const logged = new Set<string>();

function refused(shard: RegistrationShard, path: string, what: string, result: number): void {
  let reason = errnoName(-result);
  if (result === -ERRNO.ENOMEM) {
    const limit = native.lockedMemoryLimit();
    const { sizeBytes } = shard.memory.arena;
    reason += `: the shard's ${sizeBytes} bytes are more than what \`ulimit -l\` leaves (${limit} bytes)`;
  } else if (result === -ERRNO.EOPNOTSUPP) reason += ': the emulated ring cannot';
  if (logged.has(what + reason)) return;
  logged.add(what + reason);
  shard.log.warn({ path, reason }, `the ${what} could not be registered: operations go on without`);
}

/** How the operations of one file use what the ring knows ahead: the shard's memory, the descriptor, or both. */
export class RegisteredFile {
  readonly isMemoryRegistered: boolean;
  readonly #registrations: Registrations;
  readonly #arenaAddress: number;
  readonly #fd: number;
  #slot: number;

  private constructor(shard: RegistrationShard, fd: number, isMemoryRegistered: boolean, slot: number) {
    this.#registrations = shard.reactor.registrations;
    this.#arenaAddress = shard.memory.arena.address;
    this.#fd = fd;
    this.#slot = slot;
    this.isMemoryRegistered = isMemoryRegistered;
  }

  /** Registers what is wanted, as far as the ring takes it; null when nothing is registered. */
  static register(
    shard: RegistrationShard,
    fd: number,
    path: string,
    options: RegistrationOptions,
  ): RegisteredFile | null {
    const { registrations } = shard.reactor;
    let hasMemory = false;
    let slot = -1;
    if (options.registerMemory) {
      const result = registrations.registerMemory(shard.memory.arena);
      hasMemory = result === 0;
      if (result < 0) refused(shard, path, 'memory', result);
    }
    if (options.registerDescriptor) {
      slot = registrations.registerFile(fd);
      if (slot < 0) refused(shard, path, 'descriptor', slot);
    }
    return hasMemory || slot >= 0 ? new RegisteredFile(shard, fd, hasMemory, slot) : null;
  }

  get isDescriptorRegistered(): boolean {
    return this.#slot >= 0;
  }

  /** Gives an operation to the ring. */
  submit(reactor: Pick<Reactor, 'submit'>, operation: FileOperation): void {
    const { address, length, offset, opFlags } = operation;
    let { opcode } = operation;
    let buffer = 0;
    if (this.isMemoryRegistered && (opcode === IORING_OP.READ || opcode === IORING_OP.WRITE)) {
      const index = this.#registrations.bufferOf(address - this.#arenaAddress, length);
      if (index >= 0) {
        buffer = index;
        opcode = opcode === IORING_OP.READ ? IORING_OP.READ_FIXED : IORING_OP.WRITE_FIXED;
      }
    }
    // Others, such as statx, take descriptors only.
    const isFixed = this.#slot >= 0 && (operation.total > 0 || opcode === IORING_OP.FSYNC);
    const fd = isFixed ? this.#slot : this.#fd;
    const flags = isFixed ? IOSQE.FIXED_FILE : 0;
    reactor.submit(operation, opcode, fd, address, length, offset, opFlags, flags, 0, buffer);
  }

  /** Gives the place of the descriptor back, before it is closed and when nothing is in flight. */
  close(): void {
    if (this.#slot < 0) return;
    this.#registrations.unregisterFile(this.#slot);
    this.#slot = -1;
  }
}
