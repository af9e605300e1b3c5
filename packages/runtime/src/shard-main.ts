// What a shard's thread runs: it builds the shard, then does what the main thread says.
import { parentPort, workerData } from 'node:worker_threads';
import { native } from '@sunstar/native';
import { SunstarError, systemError } from './errors.js';
import { ListeningSockets } from './life-cycle/listening-sockets.js';
import { shardLogger } from './log.js';
import { openArena, ShardMemory } from './memory/index.js';
import { CHANNELS } from './observe/channels.js';
import type { OffloadClient } from './offload/client.js';
import { connectOffload } from './offload/offload.js';
import { Reactor } from './reactor/index.js';
import { Shard, type ShardContext, setCurrentShard } from './shard.js';
// A crash that the main thread tells of may travel on from shard to shard.
import './shard-crashed-error.js';
import { ControlLayout, Mesh } from './smp/index.js';
import {
  type Command,
  fromWire,
  type RejectedWhere,
  type Report,
  type ShardBirth,
  toWire,
} from './worker-protocol.js';

type Entry = (shard: ShardContext) => void | Promise<void>;

const birth = workerData as ShardBirth;
let offloaded: OffloadClient | undefined;

function report(message: Report): void {
  parentPort?.postMessage(message);
}

function build(): Shard {
  if (birth.cpus !== undefined) {
    const result = native.pinThread(birth.cpus);
    if (result < 0) throw systemError('sched_setaffinity', result, `CPUs ${birth.cpus.join(',')}`);
  }
  const reactor = new Reactor({
    backend: birth.backend,
    idlePollUs: birth.idlePollUs,
    taskQuotaUs: birth.taskQuotaUs,
  });
  const layout = ControlLayout.of(birth.control);
  // With an explicit length: a view that follows the length of a growable buffer is far slower.
  const words = new Int32Array(birth.control, 0, birth.control.byteLength / 4);
  const arenas = birth.arenas.map((shared) => openArena(shared));
  const memory = new ShardMemory(arenas[birth.shardId]);
  Atomics.store(words, layout.ringDescriptorWord(birth.shardId), reactor.ringFd);
  const mesh = new Mesh({
    ...birth.mesh,
    shardId: birth.shardId,
    control: birth.control,
    memory,
    peerArenas: arenas,
    peerPorts: birth.ports,
    turnClock: reactor,
    idleMs: () => reactor.stats.idleMs,
    wake: (peer) => reactor.wake(Atomics.load(words, layout.ringDescriptorWord(peer))),
  });
  const shard = new Shard({
    id: birth.shardId,
    count: birth.shardCount,
    generation: birth.generation,
    listeners: new ListeningSockets(birth.handsOver, birth.inherited, reactor.descriptors),
    reactor,
    memory,
    mesh,
    log: shardLogger(birth.log, birth.shardId),
    groupNames: birth.groupNames,
    slowOperationMs: birth.observe.slowOperationMs,
    slowSocketOperationMs: birth.observe.slowSocketOperationMs,
    data: birth.data,
  });
  setCurrentShard(shard);
  offloaded = connectOffload(shard, birth.mesh.maxMessageBytes ?? 0, birth.offloadLimits, report);
  return shard;
}

async function start(shard: Shard): Promise<void> {
  const module = (await import(birth.entry)) as { default?: Entry };
  if (typeof module.default !== 'function') {
    throw new SunstarError(
      'SUNSTAR_INVALID_ENTRY',
      `The entry module ${birth.entry} has no default export that is a function. ` +
        'Export one: `export default async function main(shard) { … }`.',
    );
  }
  await module.default(shard);
  for (const { host, port } of shard.listeners.closeUnclaimed()) {
    shard.log.warn({ host, port }, 'nobody listens any more on a socket that was taken over: it was closed');
  }
}

async function obey(shard: Shard, command: Command): Promise<void> {
  switch (command.type) {
    case 'start':
      await start(shard);
      // Not earlier: loading modules is slow, and nobody waits yet.
      shard.reactor.ring.detectStalls(birth.observe.stallThresholdMs, birth.observe.stallReportsPerMinute);
      report({ type: 'started' });
      break;
    case 'drain':
      await shard.drain(command.reason);
      report({ type: 'drained' });
      break;
    case 'endDrain':
      shard.endDrain();
      break;
    case 'stop':
      try {
        await shard.stop();
        report({ type: 'stopped', error: undefined });
      } catch (error) {
        report({ type: 'stopped', error: toWire(error) });
      }
      break;
    case 'collectMetrics':
      report({ type: 'metrics', families: await shard.metrics.collect() });
      break;
    case 'peerGone':
      shard.peerGone(command.shardId, fromWire(command.cause));
      report({ type: 'peerForgotten', shardId: command.shardId });
      break;
    case 'lookAgain':
      shard.listeners.lookAgain();
      break;
    case 'duplicateListeners':
      report({ type: 'listeners', sockets: shard.listeners.duplicates() });
      break;
    case 'peerBack':
      shard.peerBack(command.shardId, openArena(command.arena), command.port);
      break;
    case 'offloaded':
    case 'offloadReturned':
    case 'offloadThreadEnded':
      offloaded?.receive(command);
      break;
    case 'exit':
      shard.close();
      parentPort?.close();
      // Ends this thread only. What is still in flight is drained by native code.
      process.exit(0);
  }
}

function reportRejection(shard: Shard, error: unknown): RejectedWhere {
  const where = shard.whereRejected(error);
  const details = { err: error, ...where };
  shard.log.fatal(details, 'nobody handles the rejection of a promise: the shard ends');
  CHANNELS.unhandledRejection.publish({ shard: shard.id, ...where, error });
  return where;
}

function main(): void {
  let shard: Shard | undefined;
  // The error as it was thrown; the worker's own `error` event has only a clone of it.
  process.on('uncaughtExceptionMonitor', (error, origin) => {
    const rejected = origin === 'unhandledRejection' && shard !== undefined;
    const where = rejected ? reportRejection(shard as Shard, error) : undefined;
    report({ type: 'failed', error: toWire(error), ...(where === undefined ? {} : { where }) });
  });
  let built: Shard;
  try {
    built = build();
    shard = built;
  } catch (error) {
    report({ type: 'failed', error: toWire(error) });
    return;
  }
  parentPort?.on('message', (command: Command) => {
    obey(built, command).catch((error: unknown) => report({ type: 'failed', error: toWire(error) }));
  });
  report({ type: 'ready', ringFd: built.reactor.ringFd });
}

main();
