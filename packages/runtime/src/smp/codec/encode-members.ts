import { isStream, StreamSource } from '../stream-source.js';
import { tooLarge } from './encode-support.js';
import type { Encoder } from './encoder.js';
import { TAG_ARRAY, TAG_HOLE, TAG_OBJECT } from './tags.js';
import { transferTypeNamed } from './transfer.js';

/** Writes the own enumerable properties of an object. */
export function encodePlain(encoder: Encoder, value: object): void {
  const keys = Object.keys(value);
  if (keys.length === 0 && isStream(value)) {
    encoder.transfer(transferTypeNamed('stream'), new StreamSource(value));
    return;
  }
  encoder.counted(TAG_OBJECT, keys.length);
  for (const key of keys) {
    encoder.string(key);
    encoder.enter(key);
    encoder.value((value as Record<string, unknown>)[key]);
    encoder.leave();
  }
}

/** Writes the elements of an array; a hole is not undefined. */
export function encodeArray(encoder: Encoder, value: readonly unknown[], maxMessageBytes: number): void {
  const { length } = value;
  if (length > maxMessageBytes) throw tooLarge(length, maxMessageBytes);
  encoder.counted(TAG_ARRAY, length);
  for (let index = 0; index < length; index++) {
    const element = value[index];
    if (element === undefined && !(index in value)) encoder.tag(TAG_HOLE);
    else {
      encoder.enter(index);
      encoder.value(element);
      encoder.leave();
    }
  }
}
