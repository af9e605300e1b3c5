import { clientFields } from '../commands/connection.js';
import type { InfoLine, ServerInfo } from '../commands/context.js';
import { VERSION } from '../options.js';
import type { ShardCore } from './shard-core.js';
import { newServerStats } from './stats.js';

/** What INFO and CLIENT LIST tell about the server around the commands. */
export class ServerFacts implements ServerInfo {
  readonly version: string = VERSION;
  readonly #core: ShardCore;
  readonly #startedMs: number = Date.now();

  constructor(core: ShardCore) {
    this.#core = core;
  }

  facts(): readonly InfoLine<string>[] {
    const { options, storage } = this.#core;
    const uptimeSeconds = Math.floor((Date.now() - this.#startedMs) / 1000);
    const { failure } = storage.log;
    const line = (section: string, name: string, value: string | number): InfoLine<string> => ({
      section,
      name,
      value: String(value),
    });
    return [
      line('server', 'backend', this.#core.reactor.backend),
      line('server', 'tcp_port', options.port),
      line('server', 'uptime_in_seconds', uptimeSeconds),
      line('server', 'uptime_in_days', Math.floor(uptimeSeconds / 86_400)),
      line('clients', 'maxclients', options.maxClients),
      line('persistence', 'aof_enabled', 1),
      line('persistence', 'aof_fsync', options.fsync),
      line('persistence', 'data_directory', options.data),
      line('persistence', 'aof_last_write_status', failure === null ? 'ok' : 'err'),
      line('persistence', 'aof_last_write_error', failure === null ? '' : failure.code),
    ];
  }

  counters(): readonly InfoLine<number>[] {
    const { clients, stats, storage, shard, reactor, memory, store, context } = this.#core;
    const { log, compaction, recovery } = storage;
    const reactorStats = reactor.stats;
    const shardPrefix = `shard${shard.id}`;
    let inputBytes = 0;
    let outputBytes = 0;
    for (const client of clients) {
      inputBytes += client.inputBytes;
      outputBytes += client.outputBytes;
    }
    const lines: readonly (readonly [string, string, number])[] = [
      ['clients', 'connected_clients', clients.size],
      ['clients', 'client_input_bytes', inputBytes],
      ['clients', 'client_output_bytes', outputBytes],
      ['memory', 'total_memory', memory.arena.sizeBytes],
      ['memory', 'arena_used', memory.stats().usedBytes],
      ['persistence', 'aof_current_size', storage.sizeBytes],
      ['persistence', 'aof_live_size', storage.liveBytes],
      ['persistence', 'aof_pending_bytes', log.committed - log.durable],
      ['persistence', 'aof_rewrite_in_progress', compaction.isRunning ? 1 : 0],
      ['persistence', 'aof_rewrites', compaction.count],
      ['persistence', 'aof_rewrite_failures', compaction.failures],
      ['persistence', 'aof_fsyncs', log.syncs],
      ['persistence', 'recovered_records', recovery.records],
      ['persistence', 'recovery_dropped_bytes', recovery.droppedBytes],
      ['stats', 'total_connections_received', stats.connectionsReceived],
      ['stats', 'rejected_connections', stats.rejectedConnections],
      ['stats', 'client_output_timeout_disconnections', stats.outputTimeoutCloses],
      ['stats', 'client_handshake_timeout_disconnections', stats.handshakeTimeoutCloses],
      ['stats', 'client_idle_timeout_disconnections', stats.idleTimeoutCloses],
      ['stats', 'protocol_errors', stats.protocolErrors],
      ['stats', 'backpressure_pauses', stats.backpressurePauses],
      ['stats', `${shardPrefix}_commands`, context.commandsProcessed],
      ['stats', `${shardPrefix}_clients`, clients.size],
      ['stats', `${shardPrefix}_keys`, store.size],
      ['stats', `${shardPrefix}_used_bytes`, store.usedBytes],
      ['stats', `${shardPrefix}_operations`, reactorStats.submitted],
      ['stats', `${shardPrefix}_ticks`, reactorStats.ticks],
      ['stats', `${shardPrefix}_enters`, reactorStats.enters],
      ['stats', `${shardPrefix}_sleeps`, reactorStats.sleeps],
    ];
    return lines.map(([section, name, value]) => ({ section, name, value }));
  }

  resetCounters(): void {
    Object.assign(this.#core.stats, newServerStats());
  }

  clientList(): string {
    let text = '';
    for (const client of this.#core.clients) {
      const { connection, state } = client;
      const address = addressOf(connection.remoteAddress, connection.remotePort);
      const localAddress = addressOf(connection.localAddress, connection.localPort);
      text +=
        `id=${state.id} addr=${address} laddr=${localAddress} shard=${this.#core.shard.id} ` +
        `${clientFields(state)} age=${Math.floor(client.ageMs / 1000)} idle=${Math.floor(client.idleMs / 1000)} ` +
        `flags=N qbuf=${client.inputBytes} obl=${client.outputBytes}\n`;
    }
    return text;
  }
}

function addressOf(address: string | undefined, port: number | undefined): string {
  const host = address ?? '?';
  return `${host.includes(':') ? `[${host}]` : host}:${port ?? 0}`;
}
