import { isIPv4, isIPv6 } from 'node:net';
import { SunstarError } from '@sunstar/runtime';

/** Bytes that every version 2 header begins with, and that no text protocol does. */
export const SIGNATURE: Uint8Array = Uint8Array.of(13, 10, 13, 10, 0, 13, 10, 81, 85, 73, 84, 10);
/** Bytes of a version 2 header in front of its addresses. */
export const FIXED_BYTES = 16;
/** The longest version 1 header, CR LF included, as the specification has it. */
export const MAX_TEXT_BYTES = 107;
/** The most that we take of a version 2 header behind its fixed part; the specification allows 65,535. */
export const MAX_BODY_BYTES = 4096;

/** Who a proxy says that a connection comes from, and where it went. */
export interface ProxiedAddresses {
  readonly remoteAddress: string;
  readonly remotePort: number;
  readonly localAddress: string;
  readonly localPort: number;
}

/** The connection does not begin as the PROXY protocol demands. */
export function badProxyHeader(what: string): SunstarError {
  return new SunstarError(
    'SUNSTAR_PROXY_HEADER',
    `The connection does not begin with a PROXY protocol header: ${what}. Let only proxies that send one connect, or ` +
      'leave proxyProtocol off.',
  );
}

/**
 * Reads a version 1 header.
 *
 * @param line - Without its CR LF.
 * @returns null when the proxy does not know, or does not tell (`UNKNOWN`).
 * @throws SunstarError SUNSTAR_PROXY_HEADER
 */
export function parseTextHeader(line: string): ProxiedAddresses | null {
  const [word, family, remoteAddress, localAddress, remotePort, localPort, ...rest] = line.split(' ');
  if (word !== 'PROXY') throw badProxyHeader('no PROXY');
  if (family === 'UNKNOWN') return null;
  const isAddress = family === 'TCP4' ? isIPv4 : isIPv6;
  if (family !== 'TCP4' && family !== 'TCP6') throw badProxyHeader('an unknown family');
  if (rest.length > 0 || !isAddress(remoteAddress) || !isAddress(localAddress))
    throw badProxyHeader('addresses that are none');
  return { remoteAddress, remotePort: portOf(remotePort), localAddress, localPort: portOf(localPort) };
}

function portOf(text: string | undefined): number {
  const port = Number(text);
  if (text === undefined || !/^(0|[1-9]\d{0,4})$/.test(text) || port > 65_535)
    throw badProxyHeader('a port that is none');
  return port;
}

/** How many bytes follow the fixed part of a version 2 header, which is checked. */
export function bodyBytes(fixed: Uint8Array): number {
  if (!SIGNATURE.every((byte, i) => fixed[i] === byte)) throw badProxyHeader('no signature');
  if (fixed[12] >>> 4 !== 2) throw badProxyHeader(`version ${fixed[12] >>> 4}`);
  if ((fixed[12] & 15) > 1) throw badProxyHeader('an unknown command');
  const length = (fixed[14] << 8) | fixed[15];
  if (length > MAX_BODY_BYTES) throw badProxyHeader(`${length} bytes of it`);
  return length;
}

/**
 * Reads a version 2 header; what comes behind the addresses (TLVs) is passed over.
 *
 * @returns null when the proxy speaks for itself (`LOCAL`), or of a family that is neither IPv4 nor IPv6.
 * @throws SunstarError SUNSTAR_PROXY_HEADER
 */
export function parseBinaryHeader(fixed: Uint8Array, body: Uint8Array): ProxiedAddresses | null {
  const isLocal = (fixed[12] & 15) === 0;
  const family = fixed[13] >>> 4;
  if (isLocal || (family !== 1 && family !== 2)) return null;
  const size = family === 1 ? 4 : 16;
  if (body.length < 2 * size + 4) throw badProxyHeader('too short for its addresses');
  const view = new DataView(body.buffer, body.byteOffset, body.length);
  const address = (at: number): string => (family === 1 ? v4(body, at) : v6(view, at));
  return {
    remoteAddress: address(0),
    localAddress: address(size),
    remotePort: view.getUint16(2 * size),
    localPort: view.getUint16(2 * size + 2),
  };
}

function v4(bytes: Uint8Array, at: number): string {
  return bytes.subarray(at, at + 4).join('.');
}

/** The canonical form (RFC 5952): as the URL parser writes it. */
function v6(view: DataView, at: number): string {
  const groups: string[] = [];
  for (let i = 0; i < 16; i += 2) groups.push(view.getUint16(at + i).toString(16));
  return new URL(`http://[${groups.join(':')}]`).hostname.slice(1, -1);
}
