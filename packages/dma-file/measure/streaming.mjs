// How fast the SegmentAppender takes records when nobody waits for a flush:
//   node packages/dma-file/measure/streaming.mjs [directory] [rounds]
import { join } from 'node:path';
import { DmaFile, SegmentAppender, unlink } from '@sunstar/dma-file';
import { attach } from '@sunstar/runtime';

const path = join(process.argv[2] ?? '.', 'streaming.tmp');
const rounds = Number(process.argv[3] ?? 5);
const TOTAL = 512 << 20;
const VARIANTS = {
  'nothing ahead': { allocationStepBytes: 0, zeroAheadBytes: 0 },
  allocated: { zeroAheadBytes: 0 },
  default: {},
};

const { memory } = attach();
const record = memory.allocate(131072);
memory.bytes.fill(7, record, record + 131072);

const results = new Map();
for (let round = 0; round < rounds; round++) {
  for (const size of [512, 4096, 131072]) {
    for (const [name, options] of Object.entries(VARIANTS)) {
      const file = await DmaFile.open(path, { flags: 'w+', direct: 'require' });
      const appender = await SegmentAppender.open(file, options);
      const start = performance.now();
      const cpu = process.cpuUsage();
      for (let at = 0; at < TOTAL; at += size) {
        if (!appender.hasRoom) await appender.waitForRoom();
        appender.appendRange(record, size);
      }
      await appender.flush();
      const seconds = (performance.now() - start) / 1000;
      const used = process.cpuUsage(cpu);
      await appender.close();
      const key = `${String(size).padStart(6)} B  ${name.padEnd(14)}`;
      if (!results.has(key)) results.set(key, []);
      results.get(key).push([TOTAL / 1e6 / seconds, (used.user + used.system) / 1e4 / seconds]);
    }
  }
}
await unlink(path);
memory.free(record);

const median = (values) => values.sort((a, b) => a - b)[values.length >> 1];
for (const [key, runs] of results) {
  const at = (i) => median(runs.map((run) => run[i])).toFixed(0);
  console.log(`${key}  ${at(0).padStart(5)} MB/s  CPU ${at(1).padStart(3)} %`);
}
