// What each shard of the program runs.
import { serveHttp } from '@sunstar/example-http';
import type { ShardContext } from '@sunstar/runtime';
import { FileService } from './file-service.js';
import type { FileServiceOptions } from './options.js';

/** What the program gives its shards. */
export interface ShardData extends FileServiceOptions {
  readonly host: string;
  readonly port: number;
  readonly maxConnections: number;
}

export default async function main(shard: ShardContext): Promise<void> {
  const data = shard.data as ShardData;
  const service = new FileService(data);
  shard.onStop(() => service.close());
  await serveHttp(data, service.handle);
}
