import type { IOBuf } from '@sunstar/iobuf';

/** The longest string that is encoded in place. */
const MAX_IN_PLACE_BYTES = 65_536;

/** Appends a string in one of Node's encodings. `bytes` is the memory of the shard. */
export function appendText(output: IOBuf, bytes: Buffer, text: string, encoding: BufferEncoding): void {
  switch (encoding) {
    case 'utf8':
    case 'utf-8':
      output.append(text);
      return;
    case 'latin1':
    case 'binary':
    case 'ascii':
      // What node:http writes its heads in: one byte a character, so the size is known before.
      if (text.length > 0 && text.length <= MAX_IN_PLACE_BYTES) {
        bytes.write(text, output.reserve(text.length), text.length, 'latin1');
        output.commit(text.length);
        return;
      }
      break;
  }
  output.append(Buffer.from(text, encoding));
}
