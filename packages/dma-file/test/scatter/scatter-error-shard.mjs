// The entry module of scatter-error.test.ts: shard 0 asks shard 1, and sends home what it caught.
import { ScatterError } from '@sunstar/dma-file';

class Writer {
  write() {
    throw new ScatterError('segment', [3, 5], 8, new RangeError('too far'));
  }
}

export default async function main(shard) {
  const writer = await shard.sharded('writer', Writer);
  if (shard.id !== 0) return;
  const error = await writer
    .on(1)
    .write()
    .catch((thrown) => thrown);
  const channel = new BroadcastChannel(shard.data);
  shard.onStop(() => channel.close());
  channel.postMessage({
    isScatterError: error instanceof ScatterError,
    code: error.code,
    failedPages: error.failedPages,
    cause: error.cause?.name,
  });
}
