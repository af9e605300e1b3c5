import { lstatSync, mkdirSync, readdirSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { SunstarError } from '../errors.js';

const NAME = /^(\d+)-\d+\.sock$/;
let count = 0;

/** Where the processes of this user that can be inspected have their sockets. */
export function inspectDirectory(): string {
  const runtime = process.env.XDG_RUNTIME_DIR;
  return runtime ? join(runtime, 'sunstar') : join(tmpdir(), `sunstar-${process.getuid?.() ?? 0}`);
}

/**
 * Makes the directory if need be, and vouches that nobody else can enter it.
 *
 * @throws SunstarError `SUNSTAR_INSPECT_UNSAFE` for one of another user, one that others may enter, or a link.
 */
export function safeInspectDirectory(): string {
  const directory = inspectDirectory();
  mkdirSync(directory, { recursive: true, mode: 0o700 });
  const stat = lstatSync(directory);
  if (stat.isDirectory() && stat.uid === process.getuid?.() && (stat.mode & 0o077) === 0) return directory;
  throw new SunstarError(
    'SUNSTAR_INSPECT_UNSAFE',
    `${directory} is not a directory of this user alone (mode 0700). Remove it, or set XDG_RUNTIME_DIR to a directory of yours.`,
  );
}

/** A name that no other runtime of this user has. */
export function newSocketName(): string {
  return `${process.pid}-${count++}.sock`;
}

/** The sockets there, with the process that made each. */
export function inspectSockets(): { readonly pid: number; readonly path: string }[] {
  const directory = inspectDirectory();
  let names: string[];
  try {
    names = readdirSync(directory);
  } catch {
    return []; // Nobody has made it yet.
  }
  return names.flatMap((name) => {
    const pid = NAME.exec(name)?.[1];
    return pid === undefined ? [] : [{ pid: Number(pid), path: join(directory, name) }];
  });
}
