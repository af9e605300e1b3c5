import type { IOBuf } from '@sunstar/iobuf';

/** The longest string that is encoded in place. */
const MAX_IN_PLACE_BYTES = 65_536;

/** Appends a string in one of Node's encodings. `bytes` is the memory of the shard. */
export function appendText(output: IOBuf, bytes: Buffer, text: string, encoding: BufferEncoding): void {
  if (encoding === 'utf8' || encoding === 'utf-8') {
    output.append(text);
    return;
  }
  const isOneByte = encoding === 'latin1' || encoding === 'binary' || encoding === 'ascii';
  // What node:http writes its heads in: one byte a character, so the size is known before.
  if (isOneByte && text.length > 0 && text.length <= MAX_IN_PLACE_BYTES) {
    bytes.write(text, output.reserve(text.length), text.length, 'latin1');
    output.commit(text.length);
    return;
  }
  output.append(Buffer.from(text, encoding));
}
