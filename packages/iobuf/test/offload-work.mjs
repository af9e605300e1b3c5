// Functions that run in the offload pool.
import { IOBuf } from '@sunstar/iobuf';
import { offloadMemory } from '@sunstar/runtime';

export function upperCase(buffer) {
  return IOBuf.from(buffer.toString().toUpperCase(), offloadMemory());
}

export function checksum(buffer, others) {
  return [buffer.sizeBytes, others.length];
}

export function same(buffer) {
  return buffer;
}
