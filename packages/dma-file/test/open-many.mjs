// Opens files until there are no descriptors left, and says what happens then and after some were closed.
import { DmaFile, readDirectory, SegmentAppender, syncDirectory } from '@sunstar/dma-file';
import { attach } from '@sunstar/runtime';

attach({ memory: '32MiB', log: 'silent' });
const directory = process.argv[2];
const say = (what) => process.stdout.write(`${what}\n`);
const code = (promise) =>
  promise.then(
    () => 'ok',
    (error) => error.code,
  );

const log = await SegmentAppender.open(await DmaFile.open(`${directory}/log`, { flags: 'w+' }));
const files = [];
for (let failure = null; failure === null; ) {
  try {
    files.push(await DmaFile.open(`${directory}/file-${files.length}`, { flags: 'w+' }));
  } catch (error) {
    failure = error;
    say(error.code);
  }
}
say(await code(syncDirectory(directory)));
say(await code(readDirectory(directory)));
// What is open goes on.
log.append(Buffer.from('still here'));
say(`${await log.flush()} bytes`);
for (const file of files.splice(0, 3)) await file.close();
say(await code(syncDirectory(directory)));
const again = await DmaFile.open(`${directory}/again`, { flags: 'w+' });
say(await again.write(0, Buffer.alloc(4096)));
await again.close();
for (const file of files) await file.close();
await log.close();
