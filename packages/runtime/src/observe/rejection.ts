import type { Sharded } from '../smp/index.js';

/** What follows `at` on a line of a stack: a class and a method, or a `#private` method, which V8 prints alone. */
const CALL =
  /^\s*at (?:async )?(?:new )?(?:(?<className>[\p{ID_Start}$_][\p{ID_Continue}$]*)\.|(?<privateName>#[\p{ID_Start}$_][\p{ID_Continue}$]*))/u;

/**
 * The service that an error comes from: the innermost call of its stack that is a method of one. Undefined when no
 * service is on the stack, or when the error has none.
 */
export function serviceOf(error: unknown, services: readonly Sharded<object>[]): string | undefined {
  if (!(error instanceof Error) || error.stack === undefined) return undefined;
  for (const line of error.stack.split('\n')) {
    const { className, privateName } = CALL.exec(line)?.groups ?? {};
    if (className !== undefined) {
      const found = services.find(({ local }) => local.constructor.name === className);
      if (found !== undefined) return found.name;
    }
    if (privateName !== undefined) {
      const having = services.filter(({ local }) => String(local.constructor).includes(`${privateName}(`));
      if (having.length === 1) return having[0].name;
    }
  }
  return undefined;
}
