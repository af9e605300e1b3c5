// Setup file of the tests that run on the emulated ring: skips those that make no sense there, by name and reason.
import { beforeEach } from 'vitest';

interface OneRing {
  /** How the path of the file ends. */
  readonly file: string;
  /** A part of the full name, suites and test joined by ' > '. */
  readonly name: string;
  readonly reason: string;
}

const NO_SEND_ZC =
  'SEND_ZC is an operation of the kernel: the emulated ring sends by MSG_ZEROCOPY, for which the same test runs';
const NO_REGISTERED_MEMORY = 'only the kernel sends from registered memory: the emulated ring refuses it';

const IO_URING_ONLY: readonly OneRing[] = [
  { file: 'zero-copy/confined.test.ts', name: 'does not concern SEND_ZC', reason: NO_SEND_ZC },
  { file: 'zero-copy/confined.test.ts', name: ' > send_zc: ', reason: NO_SEND_ZC },
  {
    file: 'zero-copy/confined.test.ts',
    name: 'memory that may not be registered',
    reason: NO_REGISTERED_MEMORY,
  },
  {
    file: 'zero-copy/confined.test.ts',
    name: 'the same bytes',
    reason: NO_REGISTERED_MEMORY,
  },
  { file: 'zero-copy/macvtap.test.ts', name: ' > send_zc: ', reason: NO_SEND_ZC },
  { file: 'zero-copy/process-end.test.ts', name: 'send_zc in flight > exit', reason: NO_SEND_ZC },
  { file: 'zero-copy/process-end.test.ts', name: 'send_zc in flight > throw', reason: NO_SEND_ZC },
  {
    file: 'udp/udp.test.ts',
    name: 'zero copy always',
    reason: 'datagrams leave without a copy by SENDMSG_ZC, which is an operation of the kernel',
  },
];

interface Named {
  readonly name: string;
  readonly suite?: Named | undefined;
}

function fullName(task: Named): string {
  return task.suite === undefined ? task.name : `${fullName(task.suite)} > ${task.name}`;
}

beforeEach(({ task, skip }) => {
  const name = fullName(task);
  const found = IO_URING_ONLY.find((one) => task.file.filepath.endsWith(one.file) && name.includes(one.name));
  if (found !== undefined) skip(found.reason);
});
