import { spawnSync } from 'node:child_process';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { parseOptions } from '../src/options.ts';

const MIB = 1024 * 1024;

describe('parseOptions', () => {
  it('has the documented defaults', () => {
    expect(parseOptions(['--memory', '256MiB', '--shards', '2'])).toMatchObject({
      host: '127.0.0.1',
      port: 6380,
      fsync: 'everysec',
      data: path.resolve('data'),
      maxClients: 10_000,
      maxValueBytes: 32 * MIB,
      maxRequestBytes: 64 * MIB,
      maxOutputBytes: MIB,
      idleTimeoutMs: 0,
      handshakeTimeoutMs: 60_000,
      clientOutputTimeoutMs: 60_000,
      compactionMinBytes: 64 * MIB,
      compactionFactor: 2,
      repair: false,
      logLevel: 'info',
    });
  });

  it('reads sizes, times and choices', () => {
    const options = parseOptions([
      ...[
        '--memory',
        '1GiB',
        '--max-value',
        '2mb',
        '--max-request',
        '3MB',
        '--timeout',
        '5',
        '--shards',
        '1',
      ],
      ...[
        '--fsync',
        'always',
        '--compact-factor',
        '3.5',
        '--idle-poll',
        '7',
        '--placement',
        'max-pack',
        '--cpus',
        '0-3',
        '--drain-timeout',
        '2',
        '--metrics-port',
        '9464',
        '-p',
        '0',
        '--data',
        '/x',
        '--repair',
      ],
    ]);
    expect(options).toMatchObject({
      memoryBytes: 1024 * MIB,
      maxValueBytes: 2 * MIB,
      maxRequestBytes: 3 * MIB,
      idleTimeoutMs: 5000,
      fsync: 'always',
      compactionFactor: 3.5,
      idlePollUs: 7,
      placement: 'max-pack',
      cpus: '0-3',
      drainTimeoutMs: 2000,
      metricsPort: 9464,
      port: 0,
      data: '/x',
      repair: true,
    });
  });

  it('polls for other shards and for the device, where every shard has a CPU', () => {
    const idlePollOf = (...args: string[]): number => parseOptions(['--memory', '4GiB', ...args]).idlePollUs;
    expect(idlePollOf('--shards', '1')).toBe(0);
    expect(idlePollOf('--shards', '1', '--fsync', 'always')).toBe(200);
    expect(idlePollOf('--shards', '100', '--fsync', 'always')).toBe(0);
  });
});

describe('the command line', () => {
  const main = fileURLToPath(new URL('../dist/main.js', import.meta.url));
  const run = (...args: string[]): { status: number | null; output: string } => {
    const { status, stdout, stderr } = spawnSync(process.execPath, [main, ...args], { encoding: 'utf8' });
    return { status, output: stdout + stderr };
  };

  it('explains itself', () => {
    const { status, output } = run('--help');
    expect(status).toBe(0);
    for (const name of [
      '--port',
      '--shards',
      '--memory',
      '--data',
      '--fsync',
      '--max-clients',
      '--log-level',
    ]) {
      expect(output).toContain(name);
    }
    expect(run('--version')).toMatchObject({ status: 0 });
  });

  it.each([
    [['--port', '70000'], '--port'],
    [['--shards', '1.5'], '--shards'],
    [['--memory', '1MiB'], '--memory'],
    [['--shards', '8', '--memory', '64MiB'], 'raise --memory'],
    [['--port', '0', '--shards', '2', '--memory', '64MiB'], '--port 0'],
    [['--max-value', '2MiB', '--max-request', '1MiB'], '--max-request'],
    [['--log-level', 'loud'], '--log-level'],
    [['--nonsense'], '--nonsense'],
  ])('refuses %j', (args, expected) => {
    const { status, output } = run(...args);
    expect(status).toBe(1);
    expect(output).toContain(expected);
    expect(output).not.toContain('    at ');
  });
});
