import { MessagePort, receiveMessageOnPort } from 'node:worker_threads';
import { SunstarError } from '../errors.js';
import { type Borrower, type Parcel, registerTransfer } from './codec/transfer.js';
import { Peer } from './peer.js';

/*
 * Values that only the engine can hand to another thread: array buffers without a copy, and message ports. They go
 * through a message port of the two shards, which is only for them; the call brings their number. The receiver
 * takes values off the port until it comes to that number: those before it belong to messages that nobody wanted.
 */

/** Runtimes of more shards have no such ports: each pair needs one. */
export const MAX_SHARDS_WITH_PORTS = 32;

const marked = new WeakSet<object>();
/** Whether {@link move} was ever called on this thread: until then no value needs to be looked up. */
let anyMarked = false;
let lastNumber = 0;

interface Envelope {
  readonly number: number;
  readonly value: object;
}

/**
 * Has a buffer move with the next call to another shard in which it is an argument or a result, without a copy:
 * `store.on(1).put(move(bytes))`. Afterwards it is empty here, as after `postMessage` with a transfer list. Worth it
 * from some tens of KiB; below that, copying is cheaper. A call to the own shard passes it as it is. In runtimes of more
 * than 32 shards it is copied.
 *
 * @param value - An `ArrayBuffer`, or a view of a whole one.
 * @throws SunstarError `SUNSTAR_NOT_TRANSFERABLE`
 */
export function move<T extends ArrayBuffer | ArrayBufferView>(value: T): T {
  const buffer: unknown = ArrayBuffer.isView(value) ? value.buffer : value;
  if (!(buffer instanceof ArrayBuffer) || buffer.byteLength !== value.byteLength) {
    throw new SunstarError(
      'SUNSTAR_NOT_TRANSFERABLE',
      'Only an ArrayBuffer, or a view of a whole one, can move to another shard; small Buffers share one with others. ' +
        'Make it with new Uint8Array(size) or Buffer.allocUnsafeSlow(size).',
    );
  }
  anyMarked = true;
  marked.add(value);
  return value;
}

/** Whether a buffer or view was given to {@link move}. */
export function isMarked(value: object): boolean {
  return anyMarked && marked.has(value);
}

/** A value on its way through the port. */
export class Transferable implements Parcel {
  readonly numbers: readonly number[];
  readonly #value: object;

  constructor(value: object) {
    this.#value = value;
    lastNumber++;
    this.numbers = [lastNumber];
  }

  sending(borrower: Borrower): void {
    const value = this.#value;
    const port = borrower instanceof Peer ? borrower.port : undefined;
    if (port === undefined)
      throw new SunstarError('SUNSTAR_BROKEN_INVARIANT', 'There is no port to the shard.');
    const transfer = ArrayBuffer.isView(value) ? value.buffer : value;
    try {
      // Throws for a buffer that has moved already, which the port would take for an empty one.
      if (transfer instanceof ArrayBuffer) new Uint8Array(transfer);
      port.postMessage({ number: this.numbers[0], value } satisfies Envelope, [
        transfer as ArrayBuffer | MessagePort,
      ]);
    } catch (error) {
      throw new SunstarError(
        'SUNSTAR_NOT_TRANSFERABLE',
        'The engine refuses to move a buffer or message port to another shard: it was moved before, or must not be.',
        { cause: error },
      );
    }
  }

  sent(): void {
    marked.delete(this.#value);
  }

  release(): void {}
}

registerTransfer<Transferable>({
  name: 'transferable',
  valueClass: Transferable,
  pack: (transferable) => transferable,
  receive([number], token, lender): Transferable {
    const port = lender instanceof Peer ? lender.port : undefined;
    for (;;) {
      const received = port === undefined ? undefined : receiveMessageOnPort(port);
      if (received === undefined) {
        throw new SunstarError('SUNSTAR_BROKEN_INVARIANT', 'A value that was moved did not arrive.');
      }
      const envelope = received.message as Envelope;
      if (envelope.number === number) {
        lender.giveBack(token);
        return asArrived(envelope.value) as Transferable;
      }
      drop(envelope.value);
    }
  },
  drop,
});

/** A byte array arrives as a Buffer, as always. */
function asArrived(value: object): object {
  return value instanceof Uint8Array ? Buffer.from(value.buffer, value.byteOffset, value.byteLength) : value;
}

function drop(value: object): void {
  if (value instanceof MessagePort) value.close();
}
