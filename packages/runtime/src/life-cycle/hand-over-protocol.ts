import { lstatSync, mkdirSync } from 'node:fs';
import path from 'node:path';
import { SunstarError } from '../errors.js';

/*
 * Predecessor to successor, over a Unix socket, in records of a fixed size so that no length has to be believed:
 *
 *   {"version":1,"sockets":n}            then n times, each with a descriptor (SCM_RIGHTS)
 *   {"host":"127.0.0.1","port":7000}     or {"host":"unix:/run/app.sock","port":0}
 *
 * Then the successor starts, and says R when it serves; the predecessor leaves the path and says G, stops accepting,
 * drains and ends. When the connection breaks before R, the predecessor goes on as if nothing had been.
 */

/** Bytes of a record: JSON, filled up with spaces. */
export const RECORD_BYTES = 512;
/** The most sockets that are handed over. */
export const MAX_SOCKETS = 4096;
/** The successor serves. */
export const READY: number = 0x52;
/** The predecessor has left the path. */
export const GONE: number = 0x47;
/** How long one side waits for what the other can do at once. */
export const ANSWER_TIMEOUT_MS = 10_000;

const VERSION = 1;
/** Enough for a numeric address with a zone, and for the path of a Unix socket. */
const MAX_HOST_LENGTH = 128;

/** The path of the socket in a directory. */
export function socketPath(directory: string): string {
  return path.join(directory, 'hand-over.sock');
}

/**
 * Makes the directory if it is missing, and makes sure that no other user can reach what is in it.
 *
 * @throws SunstarError SUNSTAR_HAND_OVER_UNSAFE; the errors of the file system.
 */
export function checkDirectory(directory: string): void {
  try {
    mkdirSync(directory, { mode: 0o700 });
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
  }
  const found = lstatSync(directory);
  if (found.isDirectory() && found.uid === process.geteuid?.() && (found.mode & 0o077) === 0) return;
  throw new SunstarError(
    'SUNSTAR_HAND_OVER_UNSAFE',
    `'${directory}' is no directory that only this user can enter. Whoever can reach it could take over the listening ` +
      'sockets: use a directory of its own, owned by the user of the service, with mode 0700.',
  );
}

function record(value: object): Buffer {
  const text = Buffer.from(JSON.stringify(value));
  const bytes = Buffer.alloc(Math.max(RECORD_BYTES, text.length), ' ');
  text.copy(bytes);
  return bytes;
}

/** The first record. */
export function encodeHeader(sockets: number): Buffer {
  return record({ version: VERSION, sockets });
}

/** One for each socket. @throws SunstarError SUNSTAR_HAND_OVER_FAILED when it cannot be written. */
export function encodeSocket({ host, port }: { readonly host: string; readonly port: number }): Buffer {
  const bytes = record({ host, port });
  if (bytes.length === RECORD_BYTES && host.length <= MAX_HOST_LENGTH) return bytes;
  throw malformed(`The host '${host.slice(0, MAX_HOST_LENGTH)}' is too long.`);
}

/** How many sockets follow. @throws SunstarError SUNSTAR_HAND_OVER_FAILED */
export function decodeHeader(bytes: Buffer): number {
  const { version, sockets } = parse(bytes);
  if (version !== VERSION) throw malformed(`It speaks version ${asText(version)}, not ${VERSION}.`);
  if (Number.isInteger(sockets) && (sockets as number) >= 0 && (sockets as number) <= MAX_SOCKETS)
    return sockets as number;
  throw malformed(`It has ${asText(sockets)} sockets.`);
}

/** @throws SunstarError SUNSTAR_HAND_OVER_FAILED */
export function decodeSocket(bytes: Buffer): { readonly host: string; readonly port: number } {
  const { host, port } = parse(bytes);
  const isPort = Number.isInteger(port) && (port as number) >= 0 && (port as number) <= 65_535;
  if (typeof host === 'string' && host.length <= MAX_HOST_LENGTH && isPort)
    return { host, port: port as number };
  throw malformed('It describes no address.');
}

function parse(bytes: Buffer): Record<string, unknown> {
  try {
    const value: unknown = JSON.parse(bytes.toString());
    if (typeof value === 'object' && value !== null) return value as Record<string, unknown>;
  } catch {
    // Told below.
  }
  throw malformed('It sent no record.');
}

/** String() would call what the record says is its toString. */
function asText(value: unknown): string {
  return value === undefined ? 'no' : JSON.stringify(value);
}

function malformed(what: string): SunstarError {
  return new SunstarError(
    'SUNSTAR_HAND_OVER_FAILED',
    `The other process at the hand-over socket is not understood. ${what} Stop it, or use another directory.`,
  );
}
