// node scripts/plot-availability.mjs DATA.json OUT.svg: draws what the soak of the allocator's fragmentation has measured
// (SUNSTAR_SOAK_DATA=DATA.json npm run soak -- fragmentation).
import { readFileSync, writeFileSync } from 'node:fs';

const [dataFile, outFile] = process.argv.slice(2);
if (outFile === undefined) throw new Error('usage: node scripts/plot-availability.mjs DATA.json OUT.svg');
const { arenaBytes, allocations, failures, sizes, samples } = JSON.parse(readFileSync(dataFile, 'utf8'));

const WIDTH = 760;
const HEIGHT = 340;
const LEFT = 50;
const TOP = 50;
const RIGHT = 110;
const BOTTOM = 40;
const COLOURS = ['#1b6ca8', '#2a9d5c', '#c98a00', '#c0392b'];
const seconds = samples.at(-1)[0];
const x = (time) => LEFT + (time / seconds) * (WIDTH - LEFT - RIGHT);
const y = (share) => TOP + (1 - share) * (HEIGHT - TOP - BOTTOM);
const point = (time, share) => `${x(time).toFixed(1)},${y(share).toFixed(1)}`;

function line(values, colour, extra = '') {
  return `<polyline fill="none" stroke="${colour}" stroke-width="1.5" ${extra}points="${values.join(' ')}"/>`;
}

const parts = [
  `<text x="${LEFT}" y="18" font-weight="bold">Share of the free memory that serves a size, at 90 % occupancy</text>`,
  `<text x="${LEFT}" y="34">${arenaBytes / 2 ** 20} MiB arena, sizes 1 B to 128 KiB, ${(allocations / 1e6).toFixed(0)} million allocations, ${failures.length} failed</text>`,
];
for (const share of [0, 0.25, 0.5, 0.75, 1]) {
  parts.push(`<line x1="${LEFT}" x2="${WIDTH - RIGHT}" y1="${y(share)}" y2="${y(share)}" stroke="#ccc"/>`);
  parts.push(`<text x="${LEFT - 6}" y="${y(share) + 4}" text-anchor="end">${share * 100} %</text>`);
}
for (let minute = 0; minute <= seconds / 60; minute++) {
  parts.push(`<text x="${x(minute * 60)}" y="${HEIGHT - BOTTOM + 18}" text-anchor="middle">${minute}</text>`);
}
parts.push(`<text x="${(LEFT + WIDTH - RIGHT) / 2}" y="${HEIGHT - 6}" text-anchor="middle">minutes</text>`);
// The first sample is of the empty arena.
const filled = samples.slice(1);
const ends = [];
for (const [index, sizeBytes] of sizes.entries()) {
  parts.push(
    line(
      filled.map((sample) => point(sample[0], sample[2 + index])),
      COLOURS[index],
    ),
  );
  ends.push({ at: y(filled.at(-1)[2 + index]), text: `${sizeBytes / 1024} KiB`, colour: COLOURS[index] });
}
parts.push(
  line(
    filled.map((sample) => point(sample[0], sample[1])),
    '#666',
    'stroke-dasharray="4 3" ',
  ),
);
ends.push({ at: y(filled.at(-1)[1]), text: 'free memory', colour: '#666' });
let lowest = -Infinity;
for (const { at, text, colour } of ends.sort((a, b) => a.at - b.at)) {
  lowest = Math.max(at + 4, lowest + 14);
  parts.push(`<text x="${WIDTH - RIGHT + 6}" y="${lowest.toFixed(1)}" fill="${colour}">${text}</text>`);
}

writeFileSync(
  outFile,
  `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${HEIGHT}" font-family="sans-serif" font-size="12">
<title>Availability by size over ${Math.round(seconds / 60)} minutes at 90 % occupancy</title>
<rect width="100%" height="100%" fill="white"/>
${parts.join('\n')}
</svg>
`,
);
