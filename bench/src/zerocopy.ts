import { allowedCpus } from '@sunstar/runtime';
import type { Benchmark, BenchmarkCase, Peer } from './harness/benchmark.js';
import { loopback, type Route, type Sender, zeroCopyRig } from './zerocopy/rig.js';
import type { Way } from './zerocopy/sender.js';

const KIB = 1024;
const SIZES = [1, 4, 10, 40, 100, 400];
/** Larger than any cache: a server does not send the same bytes again and again. */
const SOURCE_BYTES = 256 * KIB * KIB;

const PEERS: readonly (readonly [Way, string])[] = [
  ['node', 'node:net'],
  ['copy', 'sunstar, always copied'],
  ['send_zc', 'sunstar, SEND_ZC forced'],
  ['msg_zerocopy', 'sunstar, MSG_ZEROCOPY forced'],
  ['fixed', 'sunstar, SEND_ZC forced, registered memory'],
];

/** Enough for a third of a second at least, as small messages cost more. */
function totalBytes(where: string, kib: number): number {
  if (kib === 1) return 4e8;
  return where === 'rig' && kib >= 10 ? 2e9 : 1e9;
}

function sizeCase(where: string, route: () => Route, kib: number): BenchmarkCase {
  const messageBytes = kib * KIB;
  const senders = new Map<Way, Sender>();
  const measure = (way: Way) => async (): Promise<number> => {
    const sender = senders.get(way);
    if (sender === undefined) throw new Error(`the sender ${way} does not run`);
    return (await sender.send(totalBytes(where, kib))).cpuSecondsPerGb;
  };
  const peers: Peer[] = PEERS.map(([way, peer]) => ({ peer, measure: measure(way) }));
  return {
    metrics: [{ case: `${where}, ${kib} KiB messages`, unit: 'CPU s/GB', higherIsBetter: false }],
    async setup() {
      for (const way of ['auto', ...PEERS.map(([peer]) => peer)] as Way[]) {
        const sender = await route().start({
          way,
          messageBytes,
          sourceBytes: SOURCE_BYTES,
          // Forced is forced; the automatic policy has its own threshold.
          ...(way === 'auto' ? {} : { thresholdBytes: Math.min(messageBytes, 32 * KIB) }),
        });
        senders.set(way, sender);
      }
    },
    async teardown() {
      for (const sender of senders.values()) await sender.stop();
    },
    ours: measure('auto'),
    peers,
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
        ...SIZES.map((kib) => sizeCase('rig', () => rig, kib)),
        ...SIZES.map((kib) => sizeCase('loopback', () => local, kib)),
      ],
      async teardown() {
        await rig.close();
        await local.close();
      },
    };
  },
};

export default benchmark;
