import { allowedCpus } from '@sunstar/runtime';
import type { Benchmark, BenchmarkCase, Peer } from './harness/benchmark.js';
import { loopback, type Route, zeroCopyRig } from './zerocopy/rig.js';
import type { Way } from './zerocopy/sender.js';

const KIB = 1024;
const RIG_SIZES = [1, 4, 10, 40, 100, 400];
const LOOPBACK_SIZES = [10, 100, 400];
/** Larger than any cache: a server does not send the same bytes again and again. */
const SOURCE_BYTES = 256 * KIB * KIB;

const PEERS: readonly (readonly [Way, string])[] = [
  ['node', 'node:net'],
  ['copy', 'sunstar, always copied'],
  ['send_zc', 'sunstar, SEND_ZC forced'],
  ['msg_zerocopy', 'sunstar, MSG_ZEROCOPY forced'],
  ['fixed', 'sunstar, SEND_ZC forced, registered memory'],
];

function sizeCase(where: string, route: () => Route, kib: number): BenchmarkCase {
  const messageBytes = kib * KIB;
  const measure = (way: Way) => async (): Promise<number> => {
    const result = await route().send({
      way,
      messageBytes,
      totalBytes: kib === 1 ? 5e8 : 2e9,
      sourceBytes: SOURCE_BYTES,
      // Forced is forced; the automatic policy has its own threshold.
      ...(way === 'auto' ? {} : { thresholdBytes: Math.min(messageBytes, 32 * KIB) }),
    });
    return result.cpuSecondsPerGb;
  };
  const peers: Peer[] = PEERS.map(([way, peer]) => ({ peer, measure: measure(way) }));
  return {
    metrics: [{ case: `${where}, ${kib} KiB messages`, unit: 'CPU s/GB', higherIsBetter: false }],
    ours: measure('auto'),
    peers,
    // Each measurement is a process that warms itself up.
    warmupRounds: 0,
  };
}

/** What a sender pays for each GB: with zero copy where it is real, and where it is not. */
const benchmark: Benchmark = {
  description:
    'sender CPU per GB of our automatic policy, forced zero copy, copies, and node:net; on a rig without copies (needs root, iproute2, gcc-bpf or clang, libbpf-dev) and on loopback',
  async prepare() {
    const [senderCpu, readerCpu] = allowedCpus();
    if (readerCpu === undefined) throw new Error('this benchmark needs two CPUs');
    const rig = await zeroCopyRig(senderCpu);
    const local = await loopback(senderCpu, readerCpu);
    return {
      cases: [
        ...RIG_SIZES.map((kib) => sizeCase('rig', () => rig, kib)),
        ...LOOPBACK_SIZES.map((kib) => sizeCase('loopback', () => local, kib)),
      ],
      async teardown() {
        await rig.close();
        await local.close();
      },
    };
  },
};

export default benchmark;
