import { inspect } from 'node:util';
import { SunstarError } from '@sunstar/runtime';

/** The connection is closed or being closed by this side. */
export function connectionClosed(): SunstarError {
  return new SunstarError(
    'SUNSTAR_CONNECTION_CLOSED',
    'The connection is closed. Open a new one, or stop using it after close() or reset().',
  );
}

/** More output is buffered than allowed. */
export function outputLimit(pendingBytes: number, maxOutputBytes: number): SunstarError {
  return new SunstarError(
    'SUNSTAR_OUTPUT_LIMIT',
    `The peer reads too slowly: ${pendingBytes} bytes of output are waiting, over maxOutputBytes ` +
      `(${maxOutputBytes}). Wait for write() or onDrain before you produce more, or raise the limit.`,
  );
}

/** Nothing moved for too long. */
export function idleTimeout(idleTimeoutMs: number): SunstarError {
  return new SunstarError(
    'SUNSTAR_IDLE_TIMEOUT',
    `Nothing was received or sent for ${idleTimeoutMs} ms. Raise idleTimeoutMs, or let the peer send keep-alives.`,
  );
}

/** The peer connected and said nothing. */
export function firstByteTimeout(firstByteTimeoutMs: number): SunstarError {
  return new SunstarError(
    'SUNSTAR_FIRST_BYTE_TIMEOUT',
    `The peer connected and nothing was received or sent for ${firstByteTimeoutMs} ms. Raise firstByteTimeoutMs.`,
  );
}

/** close() could not finish in time. */
export function closeTimeout(closeTimeoutMs: number, pendingBytes: number): SunstarError {
  return new SunstarError(
    'SUNSTAR_CLOSE_TIMEOUT',
    `close() did not finish within ${closeTimeoutMs} ms: the peer had not taken ${pendingBytes} bytes of output. ` +
      'They are lost. Raise closeTimeoutMs for slow peers.',
  );
}

/** A callback of the application threw. */
export function handlerFailed(cause: unknown): SunstarError {
  return new SunstarError(
    'SUNSTAR_HANDLER_FAILED',
    `A handler of the connection failed: ${asSentence(cause)} ` +
      'The connection was reset. Catch the error in the handler to answer it.',
    { cause },
  );
}

/** What was thrown, in words that end a sentence: many messages have their period already. */
function asSentence(cause: unknown): string {
  let text = typeof cause === 'string' ? cause : inspect(cause);
  if (cause instanceof Error) text = cause.message === '' ? cause.name : cause.message;
  text = text.trimEnd();
  return /[.!?]$/.test(text) ? text : `${text}.`;
}

/** The application reset the connection. */
export function connectionReset(): SunstarError {
  return new SunstarError('SUNSTAR_CONNECTION_RESET', 'reset() was called on this connection.');
}

/** A write after the output was ended. */
export function writeAfterEnd(): SunstarError {
  return new SunstarError(
    'SUNSTAR_WRITE_AFTER_END',
    'Output was ended by end() or close(): nothing can be written after it.',
  );
}

/** Input ended before all that was asked for had arrived. */
export function unexpectedEnd(wanted: string, bufferedBytes: number): SunstarError {
  return new SunstarError(
    'SUNSTAR_UNEXPECTED_END',
    `The peer ended its output before ${wanted}; ${bufferedBytes} bytes had arrived. The message is incomplete.`,
  );
}

/** A delimiter did not come in time. */
export function delimiterTooFar(maxBytes: number): SunstarError {
  return new SunstarError(
    'SUNSTAR_MESSAGE_TOO_LONG',
    `No delimiter within ${maxBytes} bytes. Raise the limit, or close the connection: the peer speaks another protocol.`,
  );
}

/** Two reads at once. */
export function readInProgress(): SunstarError {
  return new SunstarError(
    'SUNSTAR_READ_IN_PROGRESS',
    'Another read of this connection has not finished. Await it first: input has one reader.',
  );
}

/** Callbacks and promises cannot both take the input. */
export function receiverInUse(): SunstarError {
  return new SunstarError(
    'SUNSTAR_RECEIVER_IN_USE',
    'The connection has a receiver, which takes all input. Set `receiver` to null before you read.',
  );
}

/** retain() outside of onData. */
export function nothingToRetain(): SunstarError {
  return new SunstarError(
    'SUNSTAR_NOTHING_TO_RETAIN',
    'retain() works once in each onData call, while that call runs: afterwards the bytes are gone.',
  );
}

/** An option is out of its range. */
export function invalidOption(name: string, value: unknown, range: string): SunstarError {
  return new SunstarError('SUNSTAR_INVALID_OPTION', `${name} must be ${range}; it is ${String(value)}.`);
}

/** One side had ended, and the other did nothing for too long. */
export function halfOpenTimeout(halfOpenTimeoutMs: number): SunstarError {
  return new SunstarError(
    'SUNSTAR_HALF_OPEN_TIMEOUT',
    `One side of the connection had ended, and nothing was received or sent for ${halfOpenTimeoutMs} ms. ` +
      'Raise halfOpenTimeoutMs for peers that go on later, or close() instead of end().',
  );
}

/** A listener that all shards share was asked for twice. */
export function alreadyListening(address: string): SunstarError {
  return new SunstarError(
    'SUNSTAR_ALREADY_LISTENING',
    `This shard takes part in a listener on ${address} already. Close it first, or listen on another port.`,
  );
}

/** Nobody accepts for a listener that all shards share. */
export function noAcceptor(address: string, shardId: number): SunstarError {
  return new SunstarError(
    'SUNSTAR_NO_ACCEPTOR',
    `Shard ${shardId}, which accepts the connections, does not listen on ${address}. ` +
      'Call listen() with the same options on every shard.',
  );
}
