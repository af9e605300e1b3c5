import type { Connection } from '../connection.js';
import {
  badProxyHeader,
  bodyBytes,
  FIXED_BYTES,
  MAX_TEXT_BYTES,
  type ProxiedAddresses,
  parseBinaryHeader,
  parseTextHeader,
  SIGNATURE,
} from './header.js';

/**
 * Takes the PROXY protocol header, version 1 or 2, from the front of a connection's input.
 *
 * @param timeoutMs - How long all of it may take to arrive; the connection is reset then.
 * @returns null when the header names nobody.
 * @throws SunstarError SUNSTAR_PROXY_HEADER, and as `Connection.readExactly`
 */
export async function readProxyHeader(
  connection: Connection,
  timeoutMs: number,
): Promise<ProxiedAddresses | null> {
  const timer = setTimeout(() => connection.reset(), timeoutMs);
  try {
    const front = await take(connection, SIGNATURE.length);
    if (!SIGNATURE.every((byte, i) => front[i] === byte)) return await readText(connection, front);
    const fixed = Buffer.concat([front, await take(connection, FIXED_BYTES - SIGNATURE.length)]);
    return parseBinaryHeader(fixed, await take(connection, bodyBytes(fixed)));
  } finally {
    clearTimeout(timer);
  }
}

async function readText(connection: Connection, front: Buffer): Promise<ProxiedAddresses | null> {
  let text = front.toString('latin1');
  if (!text.startsWith('PROXY ')) throw badProxyHeader('no PROXY');
  while (!text.endsWith('\r\n')) {
    if (text.length >= MAX_TEXT_BYTES) throw badProxyHeader('it has no end');
    if (text.includes('\n')) throw badProxyHeader('a line that ends without CR');
    using rest = await connection.readUntil('\n', MAX_TEXT_BYTES - text.length);
    if (rest === null) throw badProxyHeader('it has no end');
    text += rest.toString('latin1');
  }
  return parseTextHeader(text.slice(0, -2));
}

async function take(connection: Connection, sizeBytes: number): Promise<Buffer> {
  using bytes = await connection.readExactly(sizeBytes);
  return Buffer.from(bytes.toBuffer());
}
