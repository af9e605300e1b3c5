/**
 * Debug mode (`SUNSTAR_DEBUG=1`): every buffer remembers the stack that made it, and the stack that moved or
 * disposed it; one that is collected without a dispose is reported as a process warning.
 */
export const DEBUG: boolean = process.env.SUNSTAR_DEBUG === '1';

const STACK_FRAMES = 16;

/** Counts, in debug mode, the buffers that were collected without a dispose. */
let forgotten = 0;

interface Origin {
  /** Text, not an Error: that would hold the buffer, which is the receiver of one of its frames. */
  readonly stack: string;
  readonly size: () => number;
}

const registry = new FinalizationRegistry<Origin>(({ stack, size }) => {
  forgotten++;
  const bytes = size();
  process.emitWarning(
    `An IOBuf was forgotten: nobody disposed it, and ${bytes} bytes of shard memory stay taken until the shard ` +
      `ends. Make it with \`using\`, or dispose it where its last user is done. It was made\n${stack}`,
    { type: 'SunstarWarning', code: 'SUNSTAR_IOBUF_FORGOTTEN' },
  );
});

/** Why a handle has no content any more. */
const endings = new WeakMap<object, { readonly what: 'moved' | 'disposed'; readonly stack: string }>();

/** Remembers who made a buffer. `size` must not refer to it. */
export function noteMade(buffer: object, size: () => number): void {
  registry.register(buffer, { stack: currentStack(), size }, buffer);
}

/** Remembers who moved or disposed a buffer. */
export function noteEnded(buffer: object, what: 'moved' | 'disposed'): void {
  registry.unregister(buffer);
  endings.set(buffer, { what, stack: currentStack() });
}

/** A sentence on who moved or disposed the buffer, if that is known. */
export function history(buffer: object): string {
  const ending = endings.get(buffer);
  return ending === undefined ? '' : `\nIt was ${ending.what}\n${ending.stack}`;
}

/** How many buffers were collected without a dispose; counted in debug mode only. */
export function forgottenBuffers(): number {
  return forgotten;
}

/** The stack from the caller of the IOBuf on. */
function currentStack(): string {
  const limit = Error.stackTraceLimit;
  Error.stackTraceLimit = STACK_FRAMES;
  const frames = (new Error().stack ?? '').split('\n').slice(1);
  Error.stackTraceLimit = limit;
  const caller = frames.findIndex(
    (frame) => !/ at (?:currentStack|note\w+|new IOBuf|IOBuf\.|Function\.)/.test(frame),
  );
  return frames.slice(Math.max(caller, 0)).join('\n');
}
