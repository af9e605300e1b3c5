import type { Sharded } from '../smp/index.js';

/** A class and one of its methods on a line of a stack, `async` ones included. */
const METHOD = /^\s*at (?:async )?(?:new )?([\p{ID_Start}$_][\p{ID_Continue}$]*)\./u;

/**
 * The service that an error comes from: the innermost call of its stack that is a method of one. Undefined when no
 * service is on the stack, or when the error has none.
 */
export function serviceOf(error: unknown, services: readonly Sharded<object>[]): string | undefined {
  if (!(error instanceof Error) || error.stack === undefined) return undefined;
  const byClass = new Map(services.map(({ name, local }) => [local.constructor.name, name]));
  for (const line of error.stack.split('\n')) {
    const name = byClass.get(METHOD.exec(line)?.[1] ?? '');
    if (name !== undefined) return name;
  }
  return undefined;
}
