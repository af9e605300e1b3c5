// Opens a file with registered memory, and says what came of it.
import { tmpdir } from 'node:os';
import { DmaFile } from '@sunstar/dma-file';
import { attach } from '@sunstar/runtime';

const shard = attach({ memory: '32MiB', log: 'silent' });
shard.log.warn = ({ reason }) => {
  if (reason !== undefined) process.stdout.write(`${reason}\n`);
};
const flags = { read: true, write: true, temporary: true };
const file = await DmaFile.open(tmpdir(), { flags, registerMemory: true });
process.stdout.write(`${file.isMemoryRegistered}\n`);
await file.write(0, Buffer.alloc(4096, 'x'));
const content = await file.read(10, 5);
process.stdout.write(content.toString() === 'xxxxx' ? 'written and read\n' : 'wrong\n');
content[Symbol.dispose]();
await file.close();
