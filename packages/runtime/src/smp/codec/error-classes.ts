import { OutOfMemoryError, SunstarError, SystemError } from '../../errors.js';

/** A class of errors. Its constructor is not called when an error arrives from another shard. */
export type ErrorClass = abstract new (...args: never[]) => Error;

const classes = new Map<string, ErrorClass>();

/**
 * Lets errors of a class arrive from other shards as instances of that class. Call it in the module that
 * defines the class, so that every shard does. All errors of JavaScript and of sunstar are known already;
 * errors of other classes arrive as the nearest known class with their own name.
 *
 * An arriving error gets its prototype, message, stack, cause and own enumerable properties without a call
 * of the constructor: state in `#private` fields does not cross.
 *
 * @throws SunstarError `SUNSTAR_ERROR_CLASS_EXISTS` when another class of that name is registered.
 */
export function registerErrorClass(errorClass: ErrorClass): void {
  const known = classes.get(errorClass.name);
  if (known !== undefined && known !== errorClass) {
    throw new SunstarError(
      'SUNSTAR_ERROR_CLASS_EXISTS',
      `Another error class named '${errorClass.name}' is registered. Errors are known to other shards by the ` +
        'name of their class: rename one.',
    );
  }
  classes.set(errorClass.name, errorClass);
}

/** The registered class of a name. */
export function errorClassNamed(name: string): ErrorClass | undefined {
  return classes.get(name);
}

/** The names of an error's class and its ancestors, nearest first. */
export function classNamesOf(error: object): string[] {
  const names: string[] = [];
  let prototype: unknown = Object.getPrototypeOf(error);
  while (prototype !== null && prototype !== Object.prototype) {
    const maker = (prototype as { constructor?: { name?: unknown } }).constructor;
    if (typeof maker?.name === 'string') names.push(maker.name);
    prototype = Object.getPrototypeOf(prototype);
  }
  return names;
}

for (const errorClass of [
  Error,
  AggregateError,
  EvalError,
  RangeError,
  ReferenceError,
  SyntaxError,
  TypeError,
  URIError,
  SunstarError,
  SystemError,
  OutOfMemoryError,
]) {
  registerErrorClass(errorClass);
}
