import type { Chain } from './chain.js';
import { contiguous } from './content.js';

const LINE_BYTES = 16;

/** The first `maxBytes` bytes, 16 a line, as `hexdump -C` prints them. */
export function hexdump(chain: Chain, maxBytes: number): string {
  const end = Math.min(chain.size, maxBytes);
  const lines: string[] = [];
  for (let at = 0; at < end; at += LINE_BYTES) {
    lines.push(line(at, contiguous(chain, at, Math.min(end, at + LINE_BYTES))));
  }
  if (end < chain.size) lines.push(`… ${chain.size - end} more bytes`);
  return lines.join('\n');
}

function line(at: number, bytes: Buffer): string {
  const pairs = Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0'));
  const left = pairs.slice(0, LINE_BYTES / 2).join(' ');
  const right = pairs.slice(LINE_BYTES / 2).join(' ');
  const text = Array.from(bytes, (byte) => (byte >= 0x20 && byte < 0x7f ? String.fromCharCode(byte) : '.'));
  return `${at.toString(16).padStart(8, '0')}  ${left.padEnd(23)}  ${right.padEnd(23)}  |${text.join('')}|`;
}
