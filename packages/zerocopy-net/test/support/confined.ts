import { execFileSync } from 'node:child_process';

function works(command: string, args: readonly string[]): boolean {
  try {
    execFileSync(command, args, { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
}

/** Whether this process may make network namespaces, for {@link privateNetwork}. */
export const mayMakeNetworks: boolean = works('unshare', ['-n', 'ip', 'link', 'set', 'lo', 'up']);

/** Whether this process may run others as somebody without rights, for {@link unprivileged}. */
export const mayDropPrivileges: boolean =
  process.getuid?.() === 0 &&
  works('setpriv', ['--reuid=65534', '--regid=65534', '--clear-groups', process.execPath, '-e', '0']) &&
  works('setpriv', ['--reuid=65534', '--regid=65534', '--clear-groups', 'ls', import.meta.dirname ?? '.']);

/** A prefix for `Child`: in a network namespace of its own, with so much memory for notifications for each socket. */
export function privateNetwork(optmemMaxBytes: number): string {
  const setUp = `ip link set lo up && echo ${optmemMaxBytes} > /proc/sys/net/core/optmem_max`;
  return `exec unshare -n sh -c '${setUp} && "$@"' --`;
}

/** A prefix for `Child`: as a user without rights, who may lock so much memory. */
export function unprivileged(lockedKiB: number): string {
  return `ulimit -l ${lockedKiB} && exec setpriv --reuid=65534 --regid=65534 --clear-groups sh -c '"$@"' --`;
}
