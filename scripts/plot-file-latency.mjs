// node scripts/plot-file-latency.mjs DATA.json OUT.svg: draws what node bench/dist/file/mixed-load.js has measured.
import { readFileSync, writeFileSync } from 'node:fs';

const [dataFile, outFile] = process.argv.slice(2);
if (outFile === undefined) throw new Error('usage: node scripts/plot-file-latency.mjs DATA.json OUT.svg');
const { machine, series } = JSON.parse(readFileSync(dataFile, 'utf8'));

const WIDTH = 760;
const HEIGHT = 380;
const LEFT = 64;
const TOP = 56;
const RIGHT = 24;
const BOTTOM = 48;
const COLOURS = ['#1b6ca8', '#c98a00', '#2a9d5c'];

const points = series.flatMap((one) => one.points);
const loads = points.map((point) => point.load);
const latencies = points.flatMap((point) => [point.p50Us, point.p99Us]);
const scale = (values, from, to) => {
  const low = Math.log10(Math.min(...values));
  const high = Math.log10(Math.max(...values));
  return (value) => from + ((Math.log10(value) - low) / (high - low || 1)) * (to - from);
};
const x = scale(loads, LEFT, WIDTH - RIGHT);
const y = scale(latencies, HEIGHT - BOTTOM, TOP);
const line = (own, key) =>
  own.map((point) => `${x(point.load).toFixed(1)},${y(point[key]).toFixed(1)}`).join(' ');
const time = (us) => (us >= 1000 ? `${us / 1000} ms` : `${us} µs`);

const ticks = [1, 2, 5].flatMap((digit) =>
  [10, 100, 1000, 10_000, 100_000, 1_000_000].map((unit) => digit * unit),
);
const inside = (value, values) => value >= Math.min(...values) && value <= Math.max(...values);
const parts = [
  `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${HEIGHT}" font-family="sans-serif" font-size="12">`,
  '<title>Latency of reads and writes of files by offered load</title>',
  `<rect width="${WIDTH}" height="${HEIGHT}" fill="#fff"/>`,
  `<text x="${LEFT}" y="18" font-size="14">Latency of 4 KiB reads (70 %) and writes (30 %), O_DIRECT, by offered load</text>`,
  `<text x="${LEFT}" y="34" fill="#666">${machine}; medians of 3 rounds in turns; solid p50, dashed p99</text>`,
];
for (const tick of ticks.filter((value) => inside(value, latencies))) {
  parts.push(
    `<line x1="${LEFT}" x2="${WIDTH - RIGHT}" y1="${y(tick).toFixed(1)}" y2="${y(tick).toFixed(1)}" stroke="#ddd"/>`,
    `<text x="${LEFT - 6}" y="${(y(tick) + 4).toFixed(1)}" text-anchor="end">${time(tick)}</text>`,
  );
}
for (const load of new Set(loads)) {
  parts.push(
    `<text x="${x(load).toFixed(1)}" y="${HEIGHT - BOTTOM + 18}" text-anchor="middle">${load / 1000}k</text>`,
  );
}
parts.push(
  `<text x="${(LEFT + WIDTH - RIGHT) / 2}" y="${HEIGHT - 8}" text-anchor="middle">operations a second, offered</text>`,
);
series.forEach(({ name, points: own }, i) => {
  const colour = COLOURS[i];
  parts.push(
    `<polyline fill="none" stroke="${colour}" stroke-width="2" points="${line(own, 'p50Us')}"/>`,
    `<polyline fill="none" stroke="${colour}" stroke-width="2" stroke-dasharray="5 4" points="${line(own, 'p99Us')}"/>`,
    `<rect x="${LEFT + 10 + i * 150}" y="${TOP - 12}" width="14" height="4" fill="${colour}"/>`,
    `<text x="${LEFT + 30 + i * 150}" y="${TOP - 6}">${name}</text>`,
  );
});
parts.push('</svg>', '');
writeFileSync(outFile, parts.join('\n'));
