import { inspect } from 'node:util';
import { SunstarError } from '../../errors.js';

/** Thrown inside the encoder at a value that cannot be cloned; becomes `SUNSTAR_NOT_CLONEABLE` with its path. */
export class RefusedValue extends Error {}

/** The refusal of a value. */
export function refuse(value: unknown): RefusedValue {
  return new RefusedValue(describe(value));
}

/** The public error for a refused value. */
export function notCloneable(path: string, what: string): SunstarError {
  return new SunstarError(
    'SUNSTAR_NOT_CLONEABLE',
    `${path} cannot go to another shard: it is ${what}. ` +
      'Send plain data, and call a service where that value lives instead of sending it.',
  );
}

/** A path as one would write it in code: `arguments[0].user.callback`. */
export function pathText(root: string, names: readonly (string | number)[], depth: number): string {
  let text = root;
  for (let index = 0; index < depth; index++) {
    const name = names[index];
    if (typeof name === 'number') text += `[${name}]`;
    else if (/^[\p{ID_Start}$_][\p{ID_Continue}$]*$/u.test(name)) text += `.${name}`;
    else if (name.startsWith('<')) text += name;
    else text += `[${JSON.stringify(name)}]`;
  }
  return text;
}

function describe(value: unknown): string {
  if (typeof value === 'function') {
    const kind = /^class\b/.test(Function.prototype.toString.call(value)) ? 'class' : 'function';
    return value.name === '' ? `a ${kind} without a name` : `the ${kind} ${value.name}`;
  }
  if (typeof value === 'symbol') return `the symbol ${inspect(value)}`;
  if (value instanceof Promise) return 'a promise, which has to be awaited first';
  const name: unknown = (value as object).constructor?.name;
  return typeof name === 'string' && name !== '' ? `of type ${name}` : 'of an unknown type';
}

const FEW = 16;
const MANY = 1024;

/** The objects of a message in the order in which they began: a short list, and an index from 16 up. */
export class EncodedObjects {
  /** Places from `count` on are free; kept, because shortening an array costs more than emptying its places. */
  readonly #list: (object | undefined)[] = [];
  #count = 0;
  #index: Map<object, number> | undefined;

  /** How many objects there are. */
  get count(): number {
    return this.#count;
  }

  /** The number of an object, or −1. */
  indexOf(value: object): number {
    const index = this.#index;
    if (index !== undefined) return index.get(value) ?? -1;
    const list = this.#list;
    for (let at = 0; at < this.#count; at++) if (list[at] === value) return at;
    return -1;
  }

  /** Adds an object that is not there yet. */
  add(value: object): void {
    const at = this.#count++;
    this.#list[at] = value;
    if (this.#index !== undefined) this.#index.set(value, at);
    else if (at === FEW)
      this.#index = new Map(this.#list.slice(0, at + 1).map((known, place) => [known as object, place]));
  }

  /** Forgets all but the first `count` objects. */
  truncate(count: number): void {
    while (this.#count > count) {
      const value = this.#list[--this.#count];
      this.#list[this.#count] = undefined;
      if (value !== undefined) this.#index?.delete(value);
    }
  }

  /** Forgets everything. */
  clear(): void {
    if (this.#count === 0) return;
    this.#index = undefined;
    if (this.#list.length > MANY) {
      this.#list.length = 0;
      this.#count = 0;
    } else this.truncate(0);
  }
}

/** The error of a value that is nested too deep. */
export function tooDeep(maxDepth: number): SunstarError {
  return new SunstarError(
    'SUNSTAR_MESSAGE_TOO_DEEP',
    `A value that goes to another shard is nested deeper than ${maxDepth} levels. ` +
      'Send flatter data, or start the runtime with a larger `maxDepth`.',
  );
}

/** The error of a message that needs so many bytes, or more. */
export function tooLarge(sizeBytes: number, maxMessageBytes: number): SunstarError {
  return new SunstarError(
    'SUNSTAR_MESSAGE_TOO_LARGE',
    `A message to another shard needs ${sizeBytes} bytes or more, ${maxMessageBytes} are allowed. ` +
      'Send it in pieces, or start the runtime with a larger `maxMessageBytes`.',
  );
}
