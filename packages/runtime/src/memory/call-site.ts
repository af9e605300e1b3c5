const STACK_FRAMES = 24;

/** Where the code of the allocator itself is. */
const OWN_DIRECTORY = new URL('.', import.meta.url).pathname;

/** Where the program is. */
export function captureTrace(): Error {
  const limit = Error.stackTraceLimit;
  Error.stackTraceLimit = STACK_FRAMES;
  const trace = new Error();
  Error.stackTraceLimit = limit;
  // Until it is text, it keeps the receivers of its frames alive: a forgotten buffer would never be collected.
  void trace.stack;
  return trace;
}

/** The stack of a trace from the caller of the allocator on, one frame a line. */
export function framesOf(trace: Error): string {
  const frames = (trace.stack ?? '').split('\n').slice(1);
  const caller = frames.findIndex((frame) => !frame.includes(OWN_DIRECTORY));
  return frames.slice(Math.max(caller, 0)).join('\n');
}

/** One line of a stack. */
export interface Frame {
  readonly functionName: string;
  readonly file: string;
  readonly line: number;
}

/** Takes the lines of {@link framesOf} apart; lines of another form become functions without a file. */
export function parseFrames(stack: string): Frame[] {
  return stack
    .split('\n')
    .filter((line) => line.trim() !== '')
    .map((text) => {
      const place = /^\s*at (?:(.*) \()?(.*?):(\d+):\d+\)?$/.exec(text);
      if (place === null) return { functionName: text.trim().replace(/^at /, ''), file: '', line: 0 };
      const [, functionName = '(anonymous)', file, line] = place;
      return { functionName, file: file.replace(/^file:\/\//, ''), line: Number(line) };
    });
}
