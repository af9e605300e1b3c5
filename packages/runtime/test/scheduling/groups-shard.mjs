// An entry module that runs mixed groups; what it finds goes to the test in a file.
import { appendFileSync } from 'node:fs';
import { makeGroups, runMixed } from './mixed-groups.mjs';

export default async function main(shard) {
  const { journal, chains } = shard.data;
  // In another order on every shard: the ids agree all the same.
  if (shard.id === 1) shard.groups.create({ name: 'background', shares: 50 });
  const groups = makeGroups(shard);
  const ids = Object.fromEntries(groups.map(({ name, id }) => [name, id]));
  const { checks, wrong } = await runMixed(shard, chains, shard.id + 1);
  appendFileSync(journal, `${JSON.stringify({ shard: shard.id, ids, checks, wrong: wrong.slice(0, 10) })}\n`);
}
