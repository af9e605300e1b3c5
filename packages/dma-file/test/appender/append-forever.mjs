// Appends records without end and prints how many are flushed; the test kills it.
import { DmaFile, SegmentAppender } from '@sunstar/dma-file';
import { attach } from '@sunstar/runtime';

attach({ memory: '32MiB', log: 'warn' });
const sizes = [8, 100, 4096, 511, 70_000, 13, 4088];
const file = await DmaFile.open(process.argv[2], { flags: 'w+' });
const ends = [];
let flushedRecords = 0;
const appender = await SegmentAppender.open(file, {
  onFlushed(offset) {
    while (ends.length > 0 && ends[0] <= offset) {
      ends.shift();
      flushedRecords++;
    }
    process.stdout.write(`${flushedRecords}\n`);
  },
  onError(error) {
    throw error;
  },
});

for (let number = 0; ; number++) {
  while (!appender.hasRoom) await appender.waitForRoom();
  const sizeBytes = sizes[number % sizes.length];
  const bytes = Buffer.alloc(sizeBytes, number & 0xff);
  bytes.writeUInt32LE(number, 0);
  bytes.writeUInt32LE(sizeBytes, 4);
  ends.push(appender.append(bytes));
  if (number % 3 === 0) appender.requestFlush();
  if (number % 20 === 0) await new Promise((resolve) => setImmediate(resolve));
}
