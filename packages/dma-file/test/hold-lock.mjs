// Takes a lock on a range of a file and says so; gives it up when its input ends.
import { DmaFile } from '@sunstar/dma-file';
import { attach } from '@sunstar/runtime';

attach({ memory: '32MiB', log: 'silent' });
const [path, position, length] = process.argv.slice(2);
const file = await DmaFile.open(path, { flags: 'r+' });
await file.lockRange(Number(position), Number(length), { timeoutMs: 10_000 });
process.stdout.write('locked\n');
for await (const _ of process.stdin);
await file.close();
