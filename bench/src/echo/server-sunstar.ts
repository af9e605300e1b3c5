// Echoes framed messages. Argument: port.
import { IOBuf } from '@sunstar/iobuf';
import { attach } from '@sunstar/runtime';
import { type Connection, listen, type Receiver } from '@sunstar/zerocopy-net';
import { parseMessages } from './frame.js';

const { memory } = attach({ memory: '256MiB', log: 'error' });
const { view } = memory.arena;

/** One view serves for all input. */
function lengthAt(input: DataView, at: number): number {
  return input.getInt32(at, true);
}

/** Of one connection: the beginning of a message whose rest has not come. */
class Echo implements Receiver {
  #incomplete: IOBuf | null = null;

  onData(connection: Connection, offset: number, length: number): void {
    if (this.#incomplete !== null) {
      this.#join(connection, this.#incomplete, offset, length);
      return;
    }
    const end = parseMessages(view, lengthAt, offset, offset + length);
    if (end < 0) {
      connection.reset();
      return;
    }
    if (end < offset + length) {
      this.#incomplete = new IOBuf(memory);
      this.#incomplete.appendRange(end, offset + length - end);
      connection.output.appendRange(offset, end - offset);
    } else {
      connection.retain(connection.output);
    }
    connection.flush();
  }

  onClose(): void {
    this.#incomplete?.[Symbol.dispose]();
  }

  #join(connection: Connection, incomplete: IOBuf, offset: number, length: number): void {
    incomplete.appendRange(offset, length);
    const all = incomplete.toBuffer();
    const end = parseMessages(new DataView(all.buffer, all.byteOffset, all.length), lengthAt, 0, all.length);
    if (end < 0) {
      connection.reset();
      return;
    }
    using complete = incomplete.takeFront(end);
    connection.output.take(complete);
    connection.flush();
    if (incomplete.sizeBytes > 0) return;
    incomplete[Symbol.dispose]();
    this.#incomplete = null;
  }
}

await listen({ port: Number(process.argv[2]) }, (connection) => {
  connection.receiver = new Echo();
});
console.log('ready');
