import { isIPv4, isIPv6 } from 'node:net';
import { native } from '@sunstar/native';
import { invalidOption } from '../errors.js';
import { integerOption } from '../options.js';
import { withoutPrefix } from '../zero-copy/local-addresses.js';
import { FIXED_BYTES, SIGNATURE } from './header.js';

/** Whose connection is passed on, such as a `Connection`. */
export interface ProxiedConnection {
  readonly remoteAddress?: string | undefined;
  readonly remotePort?: number | undefined;
  readonly localAddress?: string | undefined;
  readonly localPort?: number | undefined;
}

/**
 * The PROXY protocol header that tells the server behind us for whom a connection is: the first bytes to write to it.
 * Without both addresses (a Unix socket, or our own connection) it says that there is nothing to tell (`UNKNOWN` in
 * version 1, `LOCAL` in version 2).
 *
 * @param client - The connection of the client, as it was accepted.
 * @param version - 1: a line of text; 2: binary. @defaultValue 2
 * @throws SunstarError SUNSTAR_INVALID_OPTION
 */
export function proxyHeader(client: ProxiedConnection, version: 1 | 2 = 2): Uint8Array {
  if (version !== 1 && version !== 2) throw invalidOption('version', version, '1 or 2');
  if (client.remoteAddress === undefined || client.localAddress === undefined)
    return version === 1 ? Buffer.from('PROXY UNKNOWN\r\n') : fixedPart(0, 0, 0);
  const pair = [client.remoteAddress, client.localAddress].map(plain);
  const isV4 = pair.every(isIPv4);
  // One family for both: an IPv4 address in IPv6 is written with its prefix.
  const [remote, local] = isV4
    ? pair
    : pair.map((address) => (isIPv4(address) ? `::ffff:${address}` : address));
  if (!isV4 && !isIPv6(remote))
    throw invalidOption('remoteAddress', remote, 'a numeric IPv4 or IPv6 address');
  if (!isV4 && !isIPv6(local)) throw invalidOption('localAddress', local, 'a numeric IPv4 or IPv6 address');
  const remotePort = integerOption('remotePort', client.remotePort, 0, 0, 65_535);
  const localPort = integerOption('localPort', client.localPort, 0, 0, 65_535);
  if (version === 1) {
    const family = isV4 ? 'TCP4' : 'TCP6';
    return Buffer.from(`PROXY ${family} ${noZone(remote)} ${noZone(local)} ${remotePort} ${localPort}\r\n`);
  }
  const ports = Buffer.alloc(4);
  ports.writeUInt16BE(remotePort, 0);
  ports.writeUInt16BE(localPort, 2);
  const size = isV4 ? 4 : 16;
  const fixed = fixedPart(1, isV4 ? 0x11 : 0x21, 2 * size + 4);
  return Buffer.concat([fixed, bytesOf(remote, size), bytesOf(local, size), ports]);
}

/** @param command - 0: LOCAL, 1: PROXY. */
function fixedPart(command: number, family: number, bodyBytes: number): Buffer {
  const fixed = Buffer.alloc(FIXED_BYTES);
  fixed.set(SIGNATURE);
  fixed[12] = 0x20 | command;
  fixed[13] = family;
  fixed.writeUInt16BE(bodyBytes, 14);
  return fixed;
}

/** The address within the kernel's `sockaddr_in` or `sockaddr_in6`. */
function bytesOf(address: string, size: number): Buffer {
  const name = Buffer.alloc(32);
  if (native.encodeAddress(noZone(address), 0, name) < 0)
    throw invalidOption('address', address, 'a numeric IPv4 or IPv6 address');
  return name.subarray(size === 4 ? 4 : 8, (size === 4 ? 4 : 8) + size);
}

/** An IPv4 address that an IPv6 socket talks to is the IPv4 address. */
function plain(address: string): string {
  const rest = withoutPrefix(address);
  return isIPv4(rest) ? rest : address;
}

/** Which device a link-local address is on means nothing to another machine. */
function noZone(address: string): string {
  return address.split('%', 1)[0];
}
