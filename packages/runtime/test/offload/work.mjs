// Functions that tests offload.
import { appendFileSync, existsSync, readFileSync } from 'node:fs';
import { threadId } from 'node:worker_threads';
import { native } from '@sunstar/native';
import { LentBlock, offloadMemory } from '@sunstar/runtime';

export function add(a, b) {
  return a + b;
}

export async function where() {
  const nice = Number(readFileSync('/proc/thread-self/stat', 'latin1').split(') ')[1].split(' ')[16]);
  return { threadId, cpus: native.allowedCpus(), nice };
}

export class WorkError extends Error {
  code = 'E_WORK';
}

export function fail(detail) {
  throw Object.assign(new RangeError('failed on purpose', { cause: new Error('the cause') }), {
    code: 'E_PURPOSE',
    detail,
  });
}

export function refuse() {
  return { callback() {} };
}

export function bytes(length) {
  return Buffer.alloc(length, 7);
}

export function exit() {
  process.exit(3);
}

export function throwOutside() {
  return new Promise(() => {
    setImmediate(() => {
      throw new TypeError('thrown outside of the call');
    });
  });
}

const never = new Int32Array(new SharedArrayBuffer(4));

/** Says that it runs, and blocks its thread until the file is gone. */
export function block(file, name) {
  appendFileSync(file, `${name}\n`);
  while (existsSync(`${file}.${name}`)) Atomics.wait(never, 0, 0, 2);
  return name;
}

/** Says that it runs, and never ends. */
export function spin(file) {
  appendFileSync(file, 'spin\n');
  for (;;);
}

/** Sums a block of the shard's memory. */
export function sum(block) {
  let total = 0;
  for (let i = 0; i < block.sizeBytes; i++) total += block.bytes[block.offset + i];
  return total;
}

let kept;

export function keep(block) {
  kept = { block, free: block.free.bind(block) };
  // What a function puts aside by other means than the object it was given.
  block[Symbol.dispose] = () => {};
}

export function letGo() {
  kept.free();
}

/** A block of this thread's memory. */
export function make(length, value) {
  const memory = offloadMemory();
  const offset = memory.allocate(length);
  memory.bytes.fill(value, offset, offset + length);
  return new LentBlock(memory, offset);
}

export function usedBytes() {
  return offloadMemory().stats().usedBytes;
}

export const notFunction = 3;

export function sleepFor(delayMs) {
  return new Promise((resolve) => setTimeout(resolve, delayMs));
}
