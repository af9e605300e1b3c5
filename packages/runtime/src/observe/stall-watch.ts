import { native, type StallEvent } from '@sunstar/native';

/** By the ring of the thread that is watched. */
const handlers = new Map<number, (event: StallEvent) => void>();
let listening = false;

/**
 * Has a function called, on the calling thread, for the stalls of one of the process's threads.
 *
 * @param ringFd - The ring of the thread that is watched.
 * @returns Ends the watch.
 */
export function watchStalls(ringFd: number, handler: (event: StallEvent) => void): () => void {
  if (!listening) {
    // Fails for want of memory only; the stalls are then counted nowhere, and nothing else is lost.
    listening = native.onStall((event) => handlers.get(event.ringFd)?.(event)) === 0;
  }
  handlers.set(ringFd, handler);
  return () => {
    if (handlers.get(ringFd) === handler) handlers.delete(ringFd);
  };
}
