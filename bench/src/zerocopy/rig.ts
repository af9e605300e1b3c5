import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { end } from '../harness/child-process.js';
import type { SenderOptions, SenderResult } from './sender.js';

const run = promisify(execFile);
const SENDER = fileURLToPath(new URL('./sender.js', import.meta.url));
const LISTENER = fileURLToPath(new URL('./listener.js', import.meta.url));
const PROGRAM = fileURLToPath(new URL('../../src/zerocopy/sink.bpf.c', import.meta.url));
const SENDER_ADDRESS = '10.77.0.1';
const SINK_ADDRESS = '10.77.0.2';
const PORT = 7777;

/** A sender in a process of its own, which stays warm between measurements. */
export interface Sender {
  send(totalBytes: number): Promise<SenderResult>;
  stop(): Promise<void>;
}

/** Where senders run, and whom they send to. */
export interface Route {
  readonly host: string;
  readonly port: number;
  /** Starts a sender, and resolves when it has warmed up. */
  start(options: Omit<SenderOptions, 'host' | 'port'>): Promise<Sender>;
  close(): Promise<void>;
}

async function startListener(
  prefix: readonly string[],
  host: string,
  mode: 'read' | 'stall',
): Promise<ChildProcess> {
  const [command, ...rest] = [...prefix, process.execPath, LISTENER, host, String(PORT), mode];
  const child = spawn(command, rest, { stdio: ['ignore', 'pipe', 'inherit'] });
  for await (const line of createInterface({ input: child.stdout as NodeJS.ReadableStream })) {
    if (line === 'ready') break;
  }
  return child;
}

async function startSender(prefix: readonly string[], options: SenderOptions): Promise<Sender> {
  const [command, ...rest] = [...prefix, process.execPath, SENDER, JSON.stringify(options)];
  const child = spawn(command, rest, { stdio: ['pipe', 'pipe', 'inherit'] });
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  const nextLine = async (): Promise<string> => {
    const line = await lines.next();
    if (line.done === true) throw new Error(`the sender ${options.way} has ended`);
    return line.value;
  };
  await nextLine();
  return {
    async send(totalBytes) {
      child.stdin.write(`${totalBytes}\n`);
      return JSON.parse(await nextLine()) as SenderResult;
    },
    stop: () => end(child),
  };
}

/** To a reader on this machine, through the loopback device: the kernel copies whatever is asked for. */
export async function loopback(senderCpu: number, readerCpu: number): Promise<Route> {
  const host = '127.0.0.1';
  const listener = await startListener(['taskset', '-c', String(readerCpu)], host, 'read');
  return {
    host,
    port: PORT,
    start: (options) => startSender(['taskset', '-c', String(senderCpu)], { ...options, host, port: PORT }),
    close: () => end(listener),
  };
}

/** Compiles the packet program with whichever compiler is there. */
async function compile(directory: string): Promise<string> {
  const object = path.join(directory, 'sink.o');
  const common = [
    '-O2',
    '-c',
    PROGRAM,
    '-o',
    object,
    '-I/usr/include',
    `-I/usr/include/${process.arch === 'arm64' ? 'aarch64' : 'x86_64'}-linux-gnu`,
  ];
  try {
    await run('clang', ['-target', 'bpf', '-g', ...common]);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
    await run('bpf-gcc', common);
  }
  return object;
}

/** The two ends of a wire that copies nothing. */
export interface Wire {
  /** Put in front of a command, runs it at the end of the sender. */
  readonly near: readonly string[];
  readonly nearAddress: string;
  /** … at the other end, where every segment to ports 7777 to 32000 is acknowledged and nothing arrives. */
  readonly far: readonly string[];
  /** Bytes that left the sender, headers included. */
  sentBytes(): Promise<number>;
  close(): Promise<void>;
}

/**
 * A pair of network namespaces joined by a virtual Ethernet, whose far end acknowledges everything and copies
 * nothing. Needs root, iproute2, and clang or gcc-bpf with libbpf-dev.
 *
 * @param congestionControl - Of its connections; without it that of the machine.
 */
export async function zeroCopyWire(congestionControl?: string): Promise<Wire> {
  const near = `sunstar-send-${process.pid}`;
  const far = `sunstar-sink-${process.pid}`;
  const directory = await mkdtemp(path.join(tmpdir(), 'sunstar-rig-'));
  const ip = (...args: string[]): Promise<unknown> => run('ip', args);
  const close = async (): Promise<void> => {
    for (const namespace of [near, far]) await ip('netns', 'del', namespace).catch(() => {});
    await rm(directory, { recursive: true, force: true });
  };
  try {
    const object = await compile(directory);
    for (const namespace of [near, far]) {
      await ip('netns', 'add', namespace);
      await ip('-n', namespace, 'link', 'set', 'lo', 'up');
    }
    await ip('link', 'add', 'rig0', 'netns', near, 'type', 'veth', 'peer', 'name', 'rig1', 'netns', far);
    for (const [namespace, device, address] of [
      [near, 'rig0', SENDER_ADDRESS],
      [far, 'rig1', SINK_ADDRESS],
    ]) {
      await ip('-n', namespace, 'addr', 'add', `${address}/24`, 'dev', device);
      await ip('-n', namespace, 'link', 'set', device, 'up');
      // The acknowledgements that the program makes have no options.
      const settings = ['net.ipv4.tcp_timestamps=0', 'net.ipv4.tcp_rmem=4096 4194304 33554432'];
      if (congestionControl !== undefined)
        settings.push(`net.ipv4.tcp_congestion_control=${congestionControl}`);
      await run('ip', ['netns', 'exec', namespace, 'sysctl', '-qw', ...settings]);
    }
    // Requests of one connection leave at once: what acknowledges them is swallowed with the answers.
    const subnet = `${SINK_ADDRESS.slice(0, SINK_ADDRESS.lastIndexOf('.'))}.0/24`;
    await ip('-n', far, 'route', 'change', subnet, 'dev', 'rig1', 'src', SINK_ADDRESS, 'initcwnd', '60');
    await run('tc', ['-n', far, 'qdisc', 'add', 'dev', 'rig1', 'clsact']);
    await run('tc', [
      '-n',
      far,
      'filter',
      'add',
      'dev',
      'rig1',
      'ingress',
      'bpf',
      'da',
      'obj',
      object,
      'sec',
      'tc',
    ]);
  } catch (error) {
    await close();
    throw error;
  }
  const prefix = ['ip', 'netns', 'exec', near];
  return {
    near: prefix,
    nearAddress: SENDER_ADDRESS,
    far: ['ip', 'netns', 'exec', far],
    async sentBytes() {
      const [command, ...rest] = [...prefix, 'cat', '/proc/net/dev'];
      const { stdout } = await run(command, rest);
      const line = stdout.split('\n').find((one) => one.trim().startsWith('rig0:'));
      // The ninth number behind the name.
      return Number(line?.split(':')[1].trim().split(/\s+/)[8]);
    },
    close,
  };
}

/** A network namespace that has only loopback: other settings than the machine's. */
export interface Island {
  /** Put in front of a command, runs it there. */
  readonly prefix: readonly string[];
  close(): Promise<void>;
}

/** Needs root and iproute2. @param congestionControl - Of its connections. */
export async function loopbackIsland(congestionControl: string): Promise<Island> {
  const name = `sunstar-island-${process.pid}`;
  const close = async (): Promise<void> => {
    await run('ip', ['netns', 'del', name]).catch(() => {});
  };
  const prefix = ['ip', 'netns', 'exec', name];
  try {
    await run('ip', ['netns', 'add', name]);
    await run('ip', ['-n', name, 'link', 'set', 'lo', 'up']);
    await run('ip', [
      ...prefix.slice(1),
      'sysctl',
      '-qw',
      `net.ipv4.tcp_congestion_control=${congestionControl}`,
    ]);
  } catch (error) {
    await close();
    throw error;
  }
  return { prefix, close };
}

/** From one end of such a wire to the other. */
export async function zeroCopyRig(senderCpu: number): Promise<Route> {
  const wire = await zeroCopyWire();
  const listener = await startListener(wire.far, SINK_ADDRESS, 'stall').catch(async (error: unknown) => {
    await wire.close();
    throw error;
  });
  return {
    host: SINK_ADDRESS,
    port: PORT,
    start: (options) =>
      startSender([...wire.near, 'taskset', '-c', String(senderCpu)], {
        ...options,
        host: SINK_ADDRESS,
        port: PORT,
      }),
    async close() {
      await end(listener);
      await wire.close();
    },
  };
}
