import { native, type RingSupport } from '@sunstar/native';
import { SunstarError } from '../errors.js';
import { requirementError } from './requirements.js';

/** Who serves the rings: the kernel, or the addon in the kernel's place. */
export type Backend = 'io_uring' | 'emulated';

/** What may be asked for: `auto` takes io_uring where it can be used. */
export type BackendOption = 'auto' | Backend;

/** Which backend a process uses, and why. */
export interface BackendChoice {
  readonly backend: Backend;
  /** In words. */
  readonly reason: string;
  /** What keeps io_uring from being used, when that is why the backend is another one. */
  readonly obstacle: SunstarError | undefined;
}

const OPTIONS: readonly string[] = ['auto', 'io_uring', 'emulated'];

/**
 * Decides which backend a process uses. The environment variable `SUNSTAR_BACKEND` goes before the option.
 *
 * @param option - What the program asks for.
 * @param environment - `process.env`, but for tests.
 * @param probe - What the kernel offers, but for tests.
 * @throws SunstarError when io_uring is asked for and cannot be used: SUNSTAR_KERNEL_UNSUPPORTED,
 * SUNSTAR_IO_URING_FORBIDDEN, SUNSTAR_LOCKED_MEMORY, SUNSTAR_RING_FAILED; with `auto` the last two only.
 * SUNSTAR_INVALID_OPTION.
 */
export function chooseBackend(
  option: BackendOption = 'auto',
  environment: Readonly<Record<string, string | undefined>> = process.env,
  probe: () => RingSupport | number = native.probeRing,
): BackendChoice {
  const override = environment.SUNSTAR_BACKEND;
  const isOverridden = override !== undefined && override !== '';
  const wanted = isOverridden ? override : option;
  const source = isOverridden ? 'the environment variable SUNSTAR_BACKEND' : 'the option `backend`';
  if (!OPTIONS.includes(wanted)) {
    throw new SunstarError(
      'SUNSTAR_INVALID_OPTION',
      `${isOverridden ? 'SUNSTAR_BACKEND' : '`backend`'} is ${JSON.stringify(wanted)}; give 'auto', 'io_uring' or 'emulated'.`,
    );
  }
  if (wanted === 'emulated') {
    return { backend: 'emulated', reason: `asked for by ${source}`, obstacle: undefined };
  }
  const obstacle = requirementError(probe());
  if (obstacle === undefined) {
    const reason = wanted === 'auto' ? 'the kernel has what is needed' : `asked for by ${source}`;
    return { backend: 'io_uring', reason, obstacle: undefined };
  }
  const isForGood =
    obstacle.code === 'SUNSTAR_IO_URING_FORBIDDEN' || obstacle.code === 'SUNSTAR_KERNEL_UNSUPPORTED';
  // Want of memory or descriptors passes, or is the user's to mend: it must not make everything slower in silence.
  if (wanted === 'io_uring' || !isForGood) throw obstacle;
  return { backend: 'emulated', reason: obstacle.message, obstacle };
}
