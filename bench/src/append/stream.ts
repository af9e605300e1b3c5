import { DmaFile, SegmentAppender, type SegmentAppenderOptions } from '@sunstar/dma-file';
import type { ShardMemory } from '@sunstar/runtime';

const RECORD_BYTES = 131072;

/** Appends so many bytes as fast as the appender takes them, with one flush at the end; gives bytes a second. */
export async function streamOurs(
  memory: ShardMemory,
  path: string,
  totalBytes: number,
  options: SegmentAppenderOptions,
): Promise<number> {
  const flags = options.recycle === true ? 'r+' : 'w+';
  const file = await DmaFile.open(path, { flags, direct: 'require' });
  const appender = await SegmentAppender.open(file, {
    chunkBytes: RECORD_BYTES,
    maxWritesInFlight: 16,
    segmentBytes: totalBytes,
    ...options,
  });
  const record = memory.allocateAligned(RECORD_BYTES, 4096);
  memory.bytes.fill(7, record, record + RECORD_BYTES);
  try {
    const beganMs = performance.now();
    for (let at = 0; at < totalBytes; at += RECORD_BYTES) {
      if (!appender.hasRoom) await appender.waitForRoom();
      appender.appendRange(record, RECORD_BYTES);
    }
    await appender.flush();
    return (totalBytes * 1000) / (performance.now() - beganMs);
  } finally {
    await appender.close();
    memory.free(record);
  }
}
