// Sends messages as fast as the peer takes them. Arguments: JSON. Prints "ready"; then sends as many bytes as each line
// of its input says, and prints the processor time that a GB of them cost.
import net from 'node:net';
import { createInterface } from 'node:readline';
import { type BlockOwner, IOBuf } from '@sunstar/iobuf';
import { attach } from '@sunstar/runtime';
import { type Connection, configureNetwork, connect, networkStats } from '@sunstar/zerocopy-net';

/** How messages leave. */
export type Way = 'node' | 'copy' | 'msg_zerocopy' | 'send_zc' | 'fixed' | 'auto';

export interface SenderOptions {
  readonly way: Way;
  readonly host: string;
  readonly port: number;
  readonly messageBytes: number;
  /** Every message comes from another place of a source this large: larger than the caches, or not. */
  readonly sourceBytes: number;
  readonly thresholdBytes?: number;
}

/** What sending cost. */
export interface SenderResult {
  readonly cpuSecondsPerGb: number;
  readonly userSecondsPerGb: number;
  readonly gbPerSecond: number;
}

/** Output that may wait: the same for everybody. */
const PENDING_BYTES = 1_048_576;
/** Sent before anything is measured: for TCP to open its window, and for V8's compiler threads, which count as well, to end. */
const WARM_UP_MS = 1000;
const WARM_UP_BYTES = 50e6;

type Send = (totalBytes: number) => Promise<void>;

function strideOf(messageBytes: number): number {
  return Math.ceil(messageBytes / 4096) * 4096;
}

async function nodeSender({ host, port, messageBytes, sourceBytes }: SenderOptions): Promise<Send> {
  const source = Buffer.alloc(sourceBytes, 'a');
  const stride = strideOf(messageBytes);
  const socket = net.connect({
    host,
    port,
    noDelay: true,
    writableHighWaterMark: PENDING_BYTES,
  } as net.NetConnectOpts);
  await new Promise((resolve) => socket.once('connect', resolve));
  let at = 0;
  return async (totalBytes) => {
    for (let sent = 0; sent < totalBytes; sent += messageBytes) {
      if (at + stride > sourceBytes) at = 0;
      const goesOn = socket.write(source.subarray(at, at + messageBytes));
      at += stride;
      if (!goesOn) await new Promise((resolve) => socket.once('drain', resolve));
    }
    while (socket.writableLength > 0) await new Promise((resolve) => setImmediate(resolve));
  };
}

async function ourSender(options: SenderOptions): Promise<Send> {
  const { way, host, port, messageBytes, sourceBytes } = options;
  const { memory } = attach({
    memory: sourceBytes + 128 * 1024 * 1024,
    // Memory is registered only without huge pages.
    ...(way === 'fixed' ? { hugePages: 'never' as const } : {}),
    log: 'error',
  });
  configureNetwork({
    zeroCopy: {
      mechanism: way === 'msg_zerocopy' || way === 'send_zc' ? way : 'auto',
      registerMemory: way === 'fixed',
      maxHeldBytes: 2 ** 32,
    },
  });
  let zeroCopy: 'auto' | 'always' | 'never' = 'always';
  if (way === 'copy') zeroCopy = 'never';
  if (way === 'auto') zeroCopy = 'auto';
  const connection: Connection = await connect({
    host,
    port,
    zeroCopy,
    zeroCopyThresholdBytes: options.thresholdBytes,
    outputHighWaterBytes: PENDING_BYTES,
  });
  // The source is in pieces, none of them larger than a fragment may be.
  const stride = strideOf(messageBytes);
  const pieceBytes = Math.min(stride, 131_072);
  const kept: BlockOwner = { release() {} };
  const messages: IOBuf[] = [];
  for (let filled = 0; filled + stride <= sourceBytes; filled += stride) {
    const message = new IOBuf(memory);
    for (let left = messageBytes; left > 0; left -= pieceBytes) {
      const sizeBytes = Math.min(left, pieceBytes);
      const offset = memory.allocate(sizeBytes);
      memory.bytes.fill('a', offset, offset + sizeBytes);
      message.adopt(offset, sizeBytes, 0, sizeBytes, kept);
    }
    messages.push(message);
  }
  let next = 0;
  const share = new IOBuf(memory);
  return async (totalBytes) => {
    for (let sent = 0; sent < totalBytes; sent += messageBytes) {
      messages[next].share(0, messageBytes, share);
      next = next + 1 === messages.length ? 0 : next + 1;
      const written = connection.write(share);
      if (connection.pendingOutputBytes > PENDING_BYTES) await written;
    }
    while (connection.pendingOutputBytes > 0 || networkStats().zeroCopy.inFlight > 0)
      await new Promise((resolve) => setImmediate(resolve));
  };
}

async function measure(send: Send, totalBytes: number): Promise<SenderResult> {
  const before = process.cpuUsage();
  const startedAt = performance.now();
  await send(totalBytes);
  const { user, system } = process.cpuUsage(before);
  const seconds = (performance.now() - startedAt) / 1000;
  const gb = totalBytes / 1e9;
  return {
    cpuSecondsPerGb: (user + system) / 1e6 / gb,
    userSecondsPerGb: user / 1e6 / gb,
    gbPerSecond: gb / seconds,
  };
}

async function main(): Promise<void> {
  const options = JSON.parse(process.argv[2]) as SenderOptions;
  const send = await (options.way === 'node' ? nodeSender(options) : ourSender(options));
  const warmUntil = performance.now() + WARM_UP_MS;
  while (performance.now() < warmUntil) await send(WARM_UP_BYTES);
  console.log('ready');
  for await (const line of createInterface({ input: process.stdin })) {
    console.log(JSON.stringify(await measure(send, Number(line))));
  }
  process.exit(0);
}

await main();
