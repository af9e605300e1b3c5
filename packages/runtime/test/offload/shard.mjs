// Offloads from every shard, and tells the test through a file.
import { appendFileSync, readFileSync } from 'node:fs';
import { offload } from '@sunstar/runtime';

const work = new URL('./work.mjs', import.meta.url);

export default async function main(shard) {
  const { journal, act } = shard.data;
  const note = (what) => appendFileSync(journal, `${shard.id} ${what}\n`);
  const sums = await Promise.all(Array.from({ length: 20 }, (_, i) => offload(work, 'add', [i, shard.id])));
  note(`sum ${sums.reduce((a, b) => a + b)}`);
  await offload(work, 'fail', []).catch((error) => note(`${error.constructor.name} ${error.code}`));
  shard.onStop(async () => note(`stopping ${await offload(work, 'add', [1, 1])}`));
  if (shard.id !== 1) return;
  if (act === 'crash') {
    offload(work, 'spin', [journal]).catch(() => {});
    // When the other shard has registered its stop task.
    setInterval(() => {
      if (readFileSync(journal, 'utf8').includes('0 RangeError'))
        throw new Error('crash with a call in the pool');
    }, 5);
  }
}
