import type { Decoder } from './codec/decoder.js';
import type { ShortReader } from './codec/short-values.js';

/** An instance whose methods are called by name. */
export type Callable = Record<string, (...args: unknown[]) => unknown>;

/** Who wants to know that the arguments were read, before the method begins. */
export interface Begin {
  begin(decoder: Decoder): void;
}

/**
 * Calls a method with `count` arguments that are read from a message, without an array for the common few.
 *
 * This file holds nothing else: from its frame on down, the stack of an error is the runtime's own and does
 * not travel (see error-codec.ts).
 */
export function invoke(
  instance: Callable,
  method: string,
  decoder: Decoder,
  count: number,
  server: Begin,
): unknown {
  switch (count) {
    case 0:
      server.begin(decoder);
      return instance[method]();
    case 1: {
      const first = decoder.value();
      server.begin(decoder);
      return instance[method](first);
    }
    case 2: {
      const first = decoder.value();
      const second = decoder.value();
      server.begin(decoder);
      return instance[method](first, second);
    }
    case 3: {
      const first = decoder.value();
      const second = decoder.value();
      const third = decoder.value();
      server.begin(decoder);
      return instance[method](first, second, third);
    }
    default: {
      const args: unknown[] = [];
      for (let index = 0; index < count; index++) args.push(decoder.value());
      server.begin(decoder);
      return instance[method](...args);
    }
  }
}

/** Calls a method with at most three arguments that are read from a short message. */
export function invokeShort(instance: Callable, method: string, reader: ShortReader, count: number): unknown {
  switch (count) {
    case 0:
      return instance[method]();
    case 1:
      return instance[method](reader.value());
    case 2: {
      const first = reader.value();
      return instance[method](first, reader.value());
    }
    default: {
      const first = reader.value();
      const second = reader.value();
      return instance[method](first, second, reader.value());
    }
  }
}

/** Calls a method with arguments that were read before. */
export function invokeWith(instance: Callable, method: string, args: readonly unknown[]): unknown {
  return instance[method](...args);
}
