import { type Completion, ERRNO, inThisGroup, systemError } from '@sunstar/runtime';
import type { FileOperations, Ticket } from './file-operations.js';
import { abortedError } from './io-options.js';

type Settle = (value: number) => void;
type Fail = (reason: unknown) => void;

let captured: Settle = () => {};
let capturedFail: Fail = () => {};
/** One executor for all: an operation has no closure of its own. */
const capture = (resolve: Settle, reject: Fail): void => {
  captured = resolve;
  capturedFail = reject;
};

/** The completion of one operation as a promise; rejects with a SystemError that names the path. */
export class OperationPromise implements Completion {
  readonly promise: Promise<number> = new Promise<number>(capture);
  readonly #resolve: Settle = captured;
  readonly #reject: Fail = capturedFail;
  readonly #syscall: string;
  readonly #path: string;

  constructor(syscall: string, path: string) {
    this.#syscall = syscall;
    this.#path = path;
  }

  complete(result: number): void {
    if (result < 0) this.#reject(systemError(this.#syscall, result, this.#path));
    else this.#resolve(result);
  }
}

/** A promise that rejects with what was thrown. */
export async function rejected(error: unknown): Promise<never> {
  throw error;
}

/** Runs one callback operation as an {@link OperationPromise}. */
export function operate(
  syscall: string,
  path: string,
  submit: (completion: Completion) => void,
): Promise<number> {
  const operation = new OperationPromise(syscall, path);
  try {
    submit(operation);
  } catch (error) {
    return rejected(error);
  }
  return operation.promise;
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
