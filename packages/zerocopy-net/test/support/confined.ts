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

/**
 * A prefix for `Child`: in a network namespace whose addresses are those of devices. The address 192.0.2.1 is one of a
 * veth pair that works, 192.0.2.2 one of a pair without a carrier (its other end is down), 192.0.2.3 that of a macvlan
 * device.
 */
export const networkOfDevices: string = (() => {
  const setUp = [
    'ip link set lo up',
    'ip link add near type veth peer name far',
    'ip addr add 192.0.2.1/32 dev near',
    'ip link set near up',
    'ip link set far up',
    'ip link add lone type veth peer name down',
    'ip addr add 192.0.2.2/32 dev lone',
    'ip link set lone up',
    'ip link add above link near type macvlan mode bridge',
    'ip addr add 192.0.2.3/32 dev above',
    'ip link set above up',
  ].join(' && ');
  return `exec unshare -n sh -c '${setUp} && "$@"' --`;
})();

/** Whether {@link networkOfDevices} can be had. */
export const mayMakeDevices: boolean = works('sh', ['-c', `${networkOfDevices} true`]);

/**
 * A prefix for `Child`: in a network namespace where 192.0.2.2 is behind a macvtap device, whose frames a program reads.
 * The device is `./tap` in a directory of its own.
 */
export const networkWithTap: string = (() => {
  const setUp = [
    'mount -t sysfs none /sys',
    'mount -t tmpfs none /mnt',
    'ip link set lo up',
    'ip link add near type veth peer name far',
    'ip addr add 192.0.2.1/24 dev near',
    'ip link add link far name beyond type macvtap mode passthru',
    // Large enough for one segment: after a SYN that was lost no more are sent at once.
    'for device in near far beyond; do ip link set $device mtu 16000 up; done',
    'ip neigh add 192.0.2.2 lladdr $(cat /sys/class/net/beyond/address) dev near',
    'mknod /mnt/tap c $(cat /sys/class/net/beyond/tap*/dev | tr : " ")',
  ].join(' && ');
  return `exec unshare -nm sh -c '${setUp} && "$@"' --`;
})();

/** Whether {@link networkWithTap} can be had. */
export const mayMakeTaps: boolean = works('sh', ['-c', `${networkWithTap} sh -c ": <> /mnt/tap"`]);

/** A prefix for `Child`: as a user without rights, who may lock so much memory. */
export function unprivileged(lockedKiB: number): string {
  return `ulimit -l ${lockedKiB} && exec setpriv --reuid=65534 --regid=65534 --clear-groups sh -c '"$@"' --`;
}

/** Has setsockopt(SOL_SOCKET, SO_ZEROCOPY) fail with EOPNOTSUPP from now on (seccomp), and runs its arguments. */
const WITHOUT_ZEROCOPY = `
import ctypes, os, struct, sys
call = 54 if os.uname().machine == "x86_64" else 208
word = lambda code, true, false, k: struct.pack("HBBI", code, true, false, k)
program = b"".join([
    word(0x20, 0, 0, 0), word(0x15, 0, 5, call),
    word(0x20, 0, 0, 24), word(0x15, 0, 3, 1),
    word(0x20, 0, 0, 32), word(0x15, 0, 1, 60),
    word(0x06, 0, 0, 0x50000 | 95), word(0x06, 0, 0, 0x7FFF0000),
])
code = ctypes.create_string_buffer(program)
filter = ctypes.create_string_buffer(struct.pack("H6xP", len(program) // 8, ctypes.addressof(code)))
libc = ctypes.CDLL(None)
libc.prctl.argtypes = [ctypes.c_int] + [ctypes.c_ulong] * 4
assert libc.prctl(38, 1, 0, 0, 0) == 0
assert libc.prctl(22, 2, ctypes.addressof(filter), 0, 0) == 0
command = sys.argv[2:] if sys.argv[1] == "exec" else sys.argv[1:]
os.execvp(command[0], command)
`;

/** Whether this process may filter the system calls of others, for {@link withoutZeroCopyOption}. */
export const mayFilterCalls: boolean = works('python3', ['-c', WITHOUT_ZEROCOPY, 'true']);

/** A prefix for `Child`: on a kernel that refuses SO_ZEROCOPY. */
export const withoutZeroCopyOption: string = `exec python3 -c '${WITHOUT_ZEROCOPY}'`;
