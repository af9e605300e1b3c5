import type { Decoder } from './codec/decoder.js';

/** An instance whose methods are called by name. */
export type Callable = Record<string, (...args: unknown[]) => unknown>;

/**
 * Calls a method with `count` arguments that are read from a message, without an array for the common few.
 *
 * This file holds nothing else: from its frame on down, the stack of an error is the runtime's own and does
 * not travel (see error-codec.ts).
 */
export function invoke(instance: Callable, method: string, decoder: Decoder, count: number): unknown {
  switch (count) {
    case 0:
      return instance[method]();
    case 1:
      return instance[method](decoder.value());
    case 2:
      return instance[method](decoder.value(), decoder.value());
    case 3:
      return instance[method](decoder.value(), decoder.value(), decoder.value());
    default: {
      const args: unknown[] = [];
      for (let index = 0; index < count; index++) args.push(decoder.value());
      return instance[method](...args);
    }
  }
}
