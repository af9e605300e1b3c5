import { types } from 'node:util';
import { serialize } from 'node:v8';
import { MessagePort } from 'node:worker_threads';
import { isStream, StreamSource } from '../stream-source.js';
import { refuse } from './encode-support.js';
import type { Encoder } from './encoder.js';
import { TAG_CLONED, TAG_DATE, TAG_MAP, TAG_REGEXP, TAG_SET, TAG_VIEW, VIEW_CONSTRUCTORS } from './tags.js';
import { transferTypeNamed, transferTypeOf } from './transfer.js';

/** Writes an object that is no plain object, array, byte array or error. */
export function encodeBuiltin(encoder: Encoder, value: object): void {
  const type = transferTypeOf(value);
  if (type !== undefined) encoder.transfer(type, value);
  else if (value instanceof MessagePort && encoder.canMove) encoder.moveThroughPort(value);
  else if (value instanceof Map) encodeMap(encoder, value);
  else if (value instanceof Set) encodeSet(encoder, value);
  else if (value instanceof Date) encoder.float(TAG_DATE, value.getTime());
  else if (value instanceof RegExp) {
    encoder.tag(TAG_REGEXP);
    encoder.string(value.source);
    encoder.string(value.flags);
  } else if (value instanceof ArrayBuffer) encoder.bytesOf(TAG_VIEW, 0, new Uint8Array(value));
  else if (ArrayBuffer.isView(value)) encodeView(encoder, value);
  else if (isStream(value)) encoder.transfer(transferTypeNamed('stream'), new StreamSource(value));
  else if (types.isBoxedPrimitive(value) || Object.keys(value).length === 0) encodeClone(encoder, value);
  else encoder.plain(value);
}

function encodeMap(encoder: Encoder, map: ReadonlyMap<unknown, unknown>): void {
  // A copy first: a getter of a member may change the map while it is written.
  const entries = [...map];
  encoder.counted(TAG_MAP, entries.length);
  let index = 0;
  for (const [key, element] of entries) {
    encoder.enter(`<key ${index}>`);
    encoder.value(key);
    encoder.leave();
    encoder.enter(`<value ${index++}>`);
    encoder.value(element);
    encoder.leave();
  }
}

function encodeSet(encoder: Encoder, set: ReadonlySet<unknown>): void {
  const members = [...set];
  encoder.counted(TAG_SET, members.length);
  let index = 0;
  for (const member of members) {
    encoder.enter(`<member ${index++}>`);
    encoder.value(member);
    encoder.leave();
  }
}

function encodeView(encoder: Encoder, view: ArrayBufferView): void {
  const kind = VIEW_CONSTRUCTORS.findIndex((viewClass) => viewClass !== null && view instanceof viewClass);
  if (kind < 0) encodeClone(encoder, view);
  else encoder.bytesOf(TAG_VIEW, kind, new Uint8Array(view.buffer, view.byteOffset, view.byteLength));
}

/**
 * What only the structured clone knows: boxed primitives, new kinds of views, and objects whose content is
 * not in their properties, most of which it refuses.
 */
function encodeClone(encoder: Encoder, value: object): void {
  let bytes: Buffer;
  try {
    bytes = serialize(value);
  } catch {
    // The clone's message only names the value; ours adds the place and the remedy.
    throw refuse(value);
  }
  encoder.bytesOf(TAG_CLONED, -1, bytes);
}
