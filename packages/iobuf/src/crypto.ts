import { createHash } from 'node:crypto';
import { IOBuf } from './iobuf.js';

/** What takes bytes in pieces: Hash, Hmac, Sign, Verify of node:crypto. */
export interface Updatable {
  /** Takes more bytes. */
  update(bytes: Uint8Array): unknown;
}

/** What turns bytes into bytes in pieces: Cipher and Decipher of node:crypto. */
export interface Cipherlike {
  /** Takes more bytes; returns what is ready. */
  update(bytes: Uint8Array): Uint8Array;
  /** The rest. */
  final(): Uint8Array;
}

/** Feeds the content to a hash, an HMAC, a signature, fragment by fragment, without a copy. Returns `sink`. */
export function updateWith<T extends Updatable>(sink: T, buffer: IOBuf): T {
  for (const fragment of buffer.fragments()) sink.update(fragment);
  return sink;
}

/** The digest of the content. @param algorithm - What `crypto.createHash` knows, for example `sha256`. */
export function digest(buffer: IOBuf, algorithm: string): Buffer {
  return updateWith(createHash(algorithm), buffer).digest();
}

/** The content through a cipher or decipher, as a new buffer in the same memory. The caller disposes it. */
export function applyCipher(cipher: Cipherlike, buffer: IOBuf): IOBuf {
  const result = new IOBuf(buffer.memory);
  try {
    for (const fragment of buffer.fragments()) result.append(cipher.update(fragment));
    return result.append(cipher.final());
  } catch (error) {
    result[Symbol.dispose]();
    throw error;
  }
}
