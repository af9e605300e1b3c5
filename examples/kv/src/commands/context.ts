import type { ProtocolVersion } from '../resp/index.js';
import type { Store } from '../store/index.js';
import type { Config } from './config.js';

/** What the commands know and change of a connection. */
export class ClientState {
  /** Unique in the server, ascending. */
  readonly id: number;
  /** Set by HELLO. The server hands it to ReplyWriter.begin. */
  protocol: ProtocolVersion = 2;
  /** Set by CLIENT SETNAME or HELLO … SETNAME. */
  name = '';
  /** Set by CLIENT SETINFO. */
  libraryName = '';
  libraryVersion = '';
  /** Set by QUIT: close the connection when all replies have been sent, and read nothing more. */
  closing = false;
  /**
   * Set by DEBUG SLEEP to a time in ms: the server sends neither this reply nor later ones, and executes no
   * further command of this connection, until it has passed, and sets it back to 0.
   */
  pauseMs = 0;

  constructor(id: number) {
    this.id = id;
  }
}

/** One line of INFO. */
export interface InfoLine<T> {
  /** In lower case, such as `clients`. */
  readonly section: string;
  readonly name: string;
  readonly value: T;
}

/** What the commands ask the server around them. */
export interface ServerInfo {
  /** Version of this program. */
  readonly version: string;
  /** Lines of INFO that hold for the whole process, such as `tcp_port`. */
  facts(): readonly InfoLine<string>[];
  /** Lines of INFO that every shard counts for itself, such as `connected_clients`: INFO shows the sum. */
  counters(): readonly InfoLine<number>[];
  /** Sets the counters back that CONFIG RESETSTAT concerns, on this shard. */
  resetCounters(): void;
  /** One line for each connection of this shard, as CLIENT LIST shows them, each ended by LF. */
  clientList(): string;
}

/** What a write is answered with when the log cannot take it, for example because the disk is full. */
export type WriteRefusal = string | null;

/** Size of {@link CommandContext.scratchOffset}'s block. */
export const SCRATCH_BYTES = 1024;

/**
 * All that commands work with on one shard. The server makes one per shard, and before each command sets
 * `client` (and `store.nowMs` before each batch).
 */
export class CommandContext {
  readonly store: Store;
  readonly bytes: Buffer;
  readonly view: DataView;
  readonly config: Config;
  readonly server: ServerInfo;
  readonly shardId: number;
  readonly shardCount: number;
  /** A block of SCRATCH_BYTES in the arena where a command builds a value. */
  readonly scratchOffset: number;
  /** The connection that the command came from. */
  client: ClientState;
  /** Not null: writing commands are refused with this error, "MISCONF …". */
  writeRefusal: WriteRefusal = null;
  /** APPEND and SETRANGE make no value longer than this; the parser's `maxBulkBytes`. */
  maxValueBytes: number = 32 * 1024 * 1024;
  /** Commands executed since the start. */
  commandsProcessed = 0;

  /** @param options.memory - The shard's memory; the context holds a block of it for good. */
  constructor(options: {
    readonly memory: {
      readonly bytes: Buffer;
      readonly arena: { readonly view: DataView };
      allocate(bytes: number): number;
    };
    readonly store: Store;
    readonly config: Config;
    readonly server: ServerInfo;
    readonly shardId: number;
    readonly shardCount: number;
  }) {
    this.store = options.store;
    this.bytes = options.memory.bytes;
    this.view = options.memory.arena.view;
    this.config = options.config;
    this.server = options.server;
    this.shardId = options.shardId;
    this.shardCount = options.shardCount;
    this.scratchOffset = options.memory.allocate(SCRATCH_BYTES);
    this.client = new ClientState(0);
  }
}
