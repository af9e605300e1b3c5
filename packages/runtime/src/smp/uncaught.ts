import { SunstarError } from '../errors.js';

/**
 * Makes what a one-way call threw an unhandled rejection of this shard: nobody else would learn of it.
 *
 * @param callerId - The shard that called.
 */
export function uncaught(service: string, method: string, callerId: number, cause: unknown): void {
  void Promise.reject(
    new SunstarError(
      'SUNSTAR_NOTIFY_FAILED',
      `${service}.${method}(), called one way by shard ${callerId}, failed. ` +
        'Nobody waits for its answer: handle the error in the method, or call it with on() and await it.',
      { cause },
    ),
  );
}
