// What echoing framed messages of 64 bytes costs the server, by how much of Node and of sunstar is between two of them:
//   npm run build && node packages/zerocopy-net/measure/echo-layers.mjs [connections] [pipeline] [rounds] [server,…]
// loop: JavaScript that enters the ring and waits there, without an event loop. reactor: the reactor calls a function
// that submits the send, from the buffer that was received into. receiver: the benchmark's server. net, bun: its peers with
// node:net and Bun.listen. c: a program in C with epoll (echo-epoll.c, needs cc). loop:8 and reactor:8 have 8 receive
// buffers of 64 KiB instead of 256. All parse each message. Each has one CPU, the client of the benchmark the other. Ratios
// are those of the server that is named last.
import { execFileSync, spawn } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { native } from '@sunstar/native';
import {
  allowedCpus,
  attach,
  ERRNO,
  IORING_CQE_F,
  IORING_OP,
  IORING_RECVSEND,
  IOSQE,
} from '@sunstar/runtime';
import { parseMessages } from '../../../bench/dist/echo/frame.js';
import { bun } from '../../../bench/dist/harness/bun.js';

const WARM_UP_MS = 300;
const RUN_MS = 800;
const BUFFER_BYTES = 65_536;
/** As many as a shard has, unless the name of the server says how many. */
const BUFFER_COUNT = Number(process.argv[3]?.split(':')[1] ?? 256);
const TWO_32 = 2 ** 32;
/** MSG_NOSIGNAL, MSG_DONTWAIT, MSG_WAITALL: over when the kernel has taken it, as a send of a connection is. */
const AT_ONCE = 0x4000 | 0x40 | 0x100;

/** Receive buffers that the kernel fills bit by bit, in the order in which they were given. */
class Buffers {
  constructor(ring, at, address) {
    this.at = at;
    this.address = address;
    const memory = ring.registerBufferRing(7, BUFFER_COUNT, true);
    if (typeof memory === 'number') throw new Error('this needs Linux 6.12');
    this.words = new Uint32Array(memory);
    this.halves = new Uint16Array(memory);
    this.used = new Uint32Array(BUFFER_COUNT);
    this.tail = 0;
    for (let id = 0; id < BUFFER_COUNT; id++) this.give(id);
  }

  give(id) {
    const slot = this.tail & (BUFFER_COUNT - 1);
    const address = this.address + id * BUFFER_BYTES;
    this.used[id] = 0;
    this.words[slot * 4] = address;
    this.words[slot * 4 + 1] = address / TWO_32;
    this.words[slot * 4 + 2] = BUFFER_BYTES;
    this.halves[slot * 8 + 6] = id;
    this.tail = (this.tail + 1) & 0xffff;
    Atomics.store(this.halves, 7, this.tail);
  }

  /** Where the piece lies; the buffer goes back when it is full, for what is sent of it is sent before the next receive. */
  take(flags, length) {
    const id = flags >>> 16;
    const at = this.at + id * BUFFER_BYTES + this.used[id];
    this.used[id] += length;
    if ((flags & IORING_CQE_F.BUF_MORE) === 0) this.give(id);
    return at;
  }
}

const lengthAt = (view, at) => view.getInt32(at, true);

/** Parses the messages of a piece; the benchmark's client sends whole ones. */
function parse(view, at, length) {
  if (parseMessages(view, lengthAt, at, at + length) !== at + length)
    throw new Error('a message came in pieces');
}

/** Nothing but typed arrays and one native call for each batch of completions. */
function loop(listening) {
  const description = native.createRing(1024, 8192, false);
  const { ring, sqTail, cqTail, cqHead, cqes, sqEntries, cqEntries } = description;
  const queues = new Int32Array(description.queues);
  const entries = new Int32Array(description.entries);
  const control = new Int32Array(description.control);
  const bytes = Buffer.alloc(BUFFER_BYTES * BUFFER_COUNT);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const address = native.addressOf(bytes);
  const buffers = new Buffers(ring, 0, address);
  let tail = 0;
  const push = (head, fd, at, length, flags, id, group) => {
    const entry = (tail & (sqEntries - 1)) * 16;
    entries[entry] = head;
    entries[entry + 1] = fd;
    entries[entry + 4] = at >>> 0;
    entries[entry + 5] = at / TWO_32;
    entries[entry + 6] = length;
    entries[entry + 7] = flags;
    entries[entry + 8] = id;
    entries[entry + 10] = group;
    queues[sqTail] = ++tail;
  };
  const receive = (fd) =>
    push(
      IORING_OP.RECV | (IOSQE.BUFFER_SELECT << 8) | (IORING_RECVSEND.RECV_MULTISHOT << 16),
      fd,
      0,
      0,
      0,
      fd,
      7,
    );
  push(IORING_OP.ACCEPT | (IORING_RECVSEND.ACCEPT_MULTISHOT << 16), listening, 0, 0, 0, -1, 0);
  for (let head = 0; ; ) {
    const end = Atomics.load(queues, cqTail);
    if (head === end) {
      ring.enter(1);
      continue;
    }
    while (head !== end) {
      const at = cqes + (head & (cqEntries - 1)) * 4;
      const fd = queues[at];
      const result = queues[at + 2];
      const flags = queues[at + 3];
      head = (head + 1) | 0;
      if (fd === -1) {
        native.setNoDelay(result, true);
        receive(result);
      } else if (result > 0) {
        const from = buffers.take(flags, result);
        parse(view, from, result);
        push(IORING_OP.SEND | (IOSQE.CQE_SKIP_SUCCESS << 8), fd, address + from, result, AT_ONCE, fd, 0);
        if ((flags & IORING_CQE_F.MORE) === 0) receive(fd);
      } else if (result === -ERRNO.ENOBUFS) receive(fd);
      else native.closeDescriptor(fd);
    }
    control[4] = head;
    Atomics.store(queues, cqHead, head);
  }
}

/** Nothing but the reactor between the ring and the server. */
function reactorOnly(listening) {
  const { reactor, memory } = attach({ memory: '256MiB', log: 'error' });
  const { view, address } = memory.arena;
  const base = memory.allocatePermanent(BUFFER_BYTES * BUFFER_COUNT);
  const buffers = new Buffers(reactor.ring, base, address + base);
  const sent = { complete() {} };
  class Socket {
    constructor(fd) {
      this.fd = fd;
      this.receive();
    }

    receive() {
      reactor.submit(
        this,
        IORING_OP.RECV,
        this.fd,
        0,
        0,
        0,
        0,
        IOSQE.BUFFER_SELECT,
        IORING_RECVSEND.RECV_MULTISHOT,
        7,
      );
    }

    complete(result, flags) {
      if (result > 0) {
        const from = buffers.take(flags, result);
        parse(view, from, result);
        reactor.submitAtOnce(sent, IORING_OP.SEND, this.fd, address + from, result, AT_ONCE, result);
        if ((flags & IORING_CQE_F.MORE) === 0) this.receive();
      } else if (result === -ERRNO.ENOBUFS) this.receive();
      else reactor.close(this.fd);
    }
  }
  const accepted = {
    complete(result) {
      native.setNoDelay(result, true);
      new Socket(result);
    },
  };
  reactor.submit(accepted, IORING_OP.ACCEPT, listening, 0, 0, 0, 0, 0, IORING_RECVSEND.ACCEPT_MULTISHOT);
}

function serve(kind, port) {
  const listening = native.tcpListen('127.0.0.1', port, false, 512, false);
  if (listening < 0) throw new Error(`listen: ${listening}`);
  console.log('ready');
  // What was printed leaves before the loop keeps the thread.
  setTimeout(() => (kind === 'loop' ? loop(listening) : reactorOnly(listening)), 50);
}

const here = fileURLToPath(import.meta.url);
const program = (name) => fileURLToPath(new URL(`../../../bench/dist/echo/${name}.js`, import.meta.url));
function compiled() {
  const to = join(mkdtempSync(join(tmpdir(), 'sunstar-echo-')), 'echo-epoll');
  execFileSync('cc', ['-O2', '-o', to, fileURLToPath(new URL('./echo-epoll.c', import.meta.url))]);
  return to;
}

/** The program of a server, and its arguments but the port. */
async function commandOf(kind) {
  switch (kind) {
    case 'c':
      return [compiled()];
    case 'bun':
      return [await bun(), program('server-bun')];
    case 'receiver':
      return [process.execPath, program('server-sunstar')];
    case 'net':
      return [process.execPath, program('server-node')];
    default:
      return [process.execPath, here, 'serve', kind];
  }
}

/** Nanoseconds of processor time of all threads, and how they are divided, in ticks. */
function cpuOf(pid) {
  let ns = 0;
  for (const thread of readdirSync(`/proc/${pid}/task`))
    ns += Number(readFileSync(`/proc/${pid}/task/${thread}/schedstat`, 'utf8').split(' ')[0]);
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return { ns, user: Number(fields[11]), kernel: Number(fields[12]) };
}

async function load({ pid, port }, cpu, connections, pipeline) {
  const command = [program('load'), port, connections, pipeline, WARM_UP_MS, RUN_MS].map(String);
  const child = spawn('taskset', ['-c', String(cpu), process.execPath, ...command], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  let before = cpuOf(pid);
  for await (const line of createInterface({ input: child.stdout })) {
    if (line === 'begin') {
      before = cpuOf(pid);
      continue;
    }
    const after = cpuOf(pid);
    const { messages, seconds } = JSON.parse(line);
    const ns = (after.ns - before.ns) / messages;
    const user = after.user - before.user;
    const share = user / Math.max(1, user + after.kernel - before.kernel);
    return { ns, user: ns * share, kernel: ns * (1 - share), rate: messages / seconds };
  }
}

async function compare(connections, pipeline, rounds, kinds) {
  const [serverCpu, clientCpu] = allowedCpus();
  const servers = [];
  const firstPort = 16_500 + Math.floor(Math.random() * 400);
  for (const [i, kind] of kinds.entries()) {
    const port = firstPort + i;
    const command = ['-c', String(serverCpu), ...(await commandOf(kind)), String(port)];
    const child = spawn('taskset', command, { stdio: ['ignore', 'pipe', 'inherit'] });
    for await (const line of createInterface({ input: child.stdout })) if (line === 'ready') break;
    servers.push({ kind, port, child, pid: child.pid, samples: [] });
  }
  await new Promise((resolve) => setTimeout(resolve, 300));
  // The first round warms the servers up.
  for (let round = -1; round < rounds; round++) {
    for (const server of servers) {
      const sample = await load(server, clientCpu, connections, pipeline);
      if (round >= 0) server.samples.push(sample);
    }
  }
  const median = (values) => values.toSorted((a, b) => a - b)[values.length >> 1];
  const peer = servers.at(-1);
  for (const { kind, child, samples } of servers) {
    child.kill('SIGKILL');
    const [ns, user, kernel, rate] = ['ns', 'user', 'kernel', 'rate'].map((key) =>
      median(samples.map((s) => s[key])),
    );
    const ratios = samples.map((s, round) => peer.samples[round].ns / s.ns).sort((a, b) => a - b);
    console.log(
      `${connections} connections, pipeline ${pipeline}: ${kind.padEnd(8)} ${ns.toFixed(1)} ns/message ` +
        `(${user.toFixed(1)} + ${kernel.toFixed(1)}), ${peer.kind} ${median(ratios).toFixed(2)} times ` +
        `(${ratios[0].toFixed(2)} to ${ratios.at(-1).toFixed(2)}), ${Math.round(rate)} messages/s`,
    );
  }
}

const [first = '50', second = '64', third = '5', fourth = 'loop,reactor,receiver,net'] =
  process.argv.slice(2);
if (first === 'serve') serve(second.split(':')[0], Number(third));
else {
  await compare(Number(first), Number(second), Number(third), fourth.split(','));
  process.exit(0);
}
