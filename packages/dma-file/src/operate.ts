import { type Completion, ERRNO, inThisGroup, systemError } from '@sunstar/runtime';
import type { FileOperations, Ticket } from './file-operations.js';
import { abortedError } from './io-options.js';

/** Runs one callback operation as a promise; rejects with a SystemError that names the path. */
export function operate(
  syscall: string,
  path: string,
  submit: (completion: Completion) => void,
): Promise<number> {
  return new Promise((resolve, reject) => {
    submit({
      complete(result: number): void {
        if (result < 0) reject(systemError(syscall, result, path));
        else resolve(result);
      },
    });
  });
}

/** Like {@link operate} for a read or write that its signal ends while it waits for its turn. */
export function operateWithSignal(
  syscall: string,
  path: string,
  operations: FileOperations,
  signal: AbortSignal,
  submit: (completion: Completion) => Ticket | null,
): Promise<number> {
  const result = new Promise<number>((resolve, reject) => {
    let ticket: Ticket | null = null;
    const completion: Completion = {
      complete(result: number): void {
        ticket = null;
        signal.removeEventListener('abort', abort);
        if (result === -ERRNO.ECANCELED && signal.aborted) reject(abortedError(syscall, path, signal));
        else if (result < 0) reject(systemError(syscall, result, path));
        else resolve(result);
      },
    };
    const abort = (): void => {
      if (ticket !== null) operations.cancel(ticket, completion);
    };
    signal.addEventListener('abort', abort);
    ticket = submit(completion);
  });
  // A signal ends it in the group that aborts.
  return inThisGroup(result);
}
