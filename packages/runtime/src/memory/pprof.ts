import { promisify } from 'node:util';
import { gzip } from 'node:zlib';
import { parseFrames } from './call-site.js';
import type { HeapProfile } from './heap-profile.js';

const compress = promisify(gzip);

/** The profile in the format of pprof, profile.proto compressed with gzip; the same sample types as Go's heap profile. */
export async function encodeProfile(profile: HeapProfile): Promise<Buffer> {
  // Loaded when it is needed: most programs never are profiled.
  const pprof = await import('pprof-format');
  const strings = new pprof.StringTable();
  const valueType = (type: string, unit: string): InstanceType<typeof pprof.ValueType> =>
    new pprof.ValueType({ type: strings.dedup(type), unit: strings.dedup(unit) });
  const functions = new Map<string, InstanceType<typeof pprof.Function>>();
  const locations = new Map<string, InstanceType<typeof pprof.Location>>();

  const locationOf = (functionName: string, file: string, line: number): number => {
    const functionKey = `${functionName}\n${file}`;
    let called = functions.get(functionKey);
    if (called === undefined) {
      const name = strings.dedup(functionName);
      called = new pprof.Function({
        id: functions.size + 1,
        name,
        systemName: name,
        filename: strings.dedup(file),
      });
      functions.set(functionKey, called);
    }
    const key = `${functionKey}\n${line}`;
    let location = locations.get(key);
    if (location === undefined) {
      location = new pprof.Location({
        id: locations.size + 1,
        line: [new pprof.Line({ functionId: called.id, line })],
      });
      locations.set(key, location);
    }
    return Number(location.id);
  };

  const sample = profile.sites().map(
    (site) =>
      new pprof.Sample({
        locationId: parseFrames(site.stack).map(({ functionName, file, line }) =>
          locationOf(functionName, file, line),
        ),
        value: [site.allocatedBlocks, site.allocatedBytes, site.liveBlocks, site.liveBytes],
      }),
  );
  const encoded = await new pprof.Profile({
    sampleType: [
      valueType('alloc_objects', 'count'),
      valueType('alloc_space', 'bytes'),
      valueType('inuse_objects', 'count'),
      valueType('inuse_space', 'bytes'),
    ],
    sample,
    location: [...locations.values()],
    function: [...functions.values()],
    stringTable: strings,
    timeNanos: BigInt(Date.now()) * 1_000_000n,
    periodType: valueType('space', 'bytes'),
    period: profile.intervalBytes,
    defaultSampleType: strings.dedup('inuse_space'),
  }).encodeAsync();
  return compress(encoded);
}
