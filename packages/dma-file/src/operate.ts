import { type Completion, systemError } from '@sunstar/runtime';

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
