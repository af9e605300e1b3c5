import type { Command } from './command.js';
import { CONFIG_COMMANDS } from './config.js';
import { CONNECTION_COMMANDS } from './connection.js';
import { COUNTER_COMMANDS } from './counters.js';
import { EXPIRY_COMMANDS } from './expiry.js';
import { INFO_COMMANDS, INTERNAL_INFO_COMMANDS } from './info.js';
import { introspectionCommands } from './introspection.js';
import { INTERNAL_KEY_COMMANDS, KEY_COMMANDS } from './keys.js';
import { MULTI_KEY_COMMANDS } from './multi-key.js';
import { STRING_COMMANDS } from './strings.js';

/** Commands by name, found by the bytes of a request without making a string of them. */
export class CommandTable {
  readonly byName: ReadonlyMap<string, Command>;
  readonly #names: readonly Uint8Array[];
  readonly #commands: readonly Command[];
  /** Open addressing: 1 + index of the command, 0 for a free slot. At most a quarter is used. */
  readonly #slots: Uint16Array;
  readonly #mask: number;

  constructor(byName: ReadonlyMap<string, Command>) {
    this.byName = byName;
    this.#commands = [...byName.values()];
    this.#names = this.#commands.map(({ name }) => Buffer.from(name, 'latin1'));
    const size = 2 ** Math.ceil(Math.log2(4 * this.#commands.length));
    this.#mask = size - 1;
    this.#slots = new Uint16Array(size);
    for (const [index, name] of this.#names.entries()) {
      let slot = hashName(name, 0, name.length) & this.#mask;
      while (this.#slots[slot] !== 0) slot = (slot + 1) & this.#mask;
      this.#slots[slot] = index + 1;
    }
  }

  /** The command whose name these bytes are, in capitals or not. */
  find(bytes: Uint8Array, offset: number, length: number): Command | null {
    let slot = hashName(bytes, offset, length) & this.#mask;
    for (let found = this.#slots[slot]; found !== 0; found = this.#slots[slot]) {
      if (equalNames(this.#names[found - 1], bytes, offset, length)) return this.#commands[found - 1];
      slot = (slot + 1) & this.#mask;
    }
    return null;
  }
}

// Names consist of letters, for which `| 0x20` is the lower case; no other byte becomes a letter by it.

/** From the length and three letters, which tell nearly all names apart. An empty name hashes to anything. */
function hashName(bytes: Uint8Array, offset: number, length: number): number {
  const first = bytes[offset] | 0x20;
  const middle = bytes[offset + (length >>> 1)] | 0x20;
  const last = bytes[offset + length - 1] | 0x20;
  const hash = Math.imul(first, 31) + Math.imul(middle, 1009) + Math.imul(last, 7919) + length;
  return hash ^ (hash >>> 9);
}

function equalNames(name: Uint8Array, bytes: Uint8Array, offset: number, length: number): boolean {
  if (name.length !== length) return false;
  for (let at = 0; at < length; at++) {
    if ((bytes[offset + at] | 0x20) !== name[at]) return false;
  }
  return true;
}

function byName(commands: readonly Command[]): Map<string, Command> {
  return new Map(commands.map((command) => [command.name, command]));
}

const clientCommands: Map<string, Command> = byName([
  ...STRING_COMMANDS,
  ...COUNTER_COMMANDS,
  ...MULTI_KEY_COMMANDS,
  ...KEY_COMMANDS,
  ...EXPIRY_COMMANDS,
  ...CONNECTION_COMMANDS,
  ...CONFIG_COMMANDS,
  ...INFO_COMMANDS,
]);
for (const command of introspectionCommands(clientCommands)) clientCommands.set(command.name, command);

/** The commands of clients. */
export const COMMANDS: CommandTable = new CommandTable(clientCommands);

/** What shards ask of each other, clients' commands included. */
export const SHARD_COMMANDS: CommandTable = new CommandTable(
  new Map([...clientCommands, ...byName([...INTERNAL_KEY_COMMANDS, ...INTERNAL_INFO_COMMANDS])]),
);
