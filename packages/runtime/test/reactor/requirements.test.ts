import { describe, expect, it } from 'vitest';
import { IORING_OP } from '../../src/reactor/constants.js';
import { missingFeatures, ringRefused } from '../../src/reactor/requirements.js';

const ALL = new Uint8Array(256).fill(1);
const FEATURES = (1 << 0) | (1 << 1) | (1 << 8);

describe('the requirements of a kernel', () => {
  it('are met by one that has everything', () => {
    expect(missingFeatures(FEATURES, ALL)).toEqual([]);
  });

  it('are named with the release that brought them', () => {
    const supported = Uint8Array.from(ALL);
    supported[IORING_OP.MSG_RING] = 0;
    supported[IORING_OP.SEND_ZC] = 0;
    expect(missingFeatures(1 << 0, supported)).toEqual([
      'completions that are never dropped (Linux 5.5)',
      'waiting with a timeout (Linux 5.11)',
      'wake-ups between shards (IORING_OP_MSG_RING, Linux 5.18)',
      'multishot receive and provided buffers (IORING_OP_SEND_ZC, Linux 6.0)',
    ]);
  });

  it.each([
    [-1, 'SUNSTAR_IO_URING_FORBIDDEN', /seccomp/],
    [-38, 'SUNSTAR_KERNEL_UNSUPPORTED', /no io_uring/],
    [-12, 'SUNSTAR_LOCKED_MEMORY', /ulimit -l/],
    [-24, 'SUNSTAR_RING_FAILED', /EMFILE/],
  ])('a refusal with %i has a code and a remedy', (result, code, text) => {
    const error = ringRefused(result);
    expect(error.code).toBe(code);
    expect(error.message).toMatch(text);
    expect(error.errno).toBe(-result);
  });
});
