import { expect } from 'vitest';
import { RawClient, resp, ServerProcess } from './support.ts';

const CLIENTS = 8;
const KEYS_PER_CLIENT = 40;
const PIPELINE = 20;

/** What one client has sent for a key, and what the server has acknowledged of it. */
interface KeyHistory {
  sent: number;
  acknowledged: number;
}

/**
 * Writes as fast as the server acknowledges, kills it after a time, starts it again and checks that every key has a
 * value at least as new as the last one that was acknowledged, and none that was never sent.
 *
 * Every value is the number of the write, and a multiple of 7 is a deletion.
 */
class Writer {
  readonly histories = new Map<string, KeyHistory>();
  readonly #id: number;
  #serial = 0;
  acknowledged = 0;

  constructor(id: number) {
    this.#id = id;
  }

  async run(port: number): Promise<void> {
    const client = await RawClient.connect(port);
    try {
      for (;;) await this.#round(client);
    } catch {
      // The server was killed.
    } finally {
      client.close();
    }
  }

  async #round(client: RawClient): Promise<void> {
    const sent: { history: KeyHistory; serial: number }[] = [];
    const commands: Buffer[] = [];
    for (let i = 0; i < PIPELINE; i++) {
      const serial = ++this.#serial;
      const key = `client-${this.#id}-${serial % KEYS_PER_CLIENT}`;
      const history = this.histories.get(key) ?? { sent: 0, acknowledged: 0 };
      this.histories.set(key, history);
      history.sent = serial;
      const padding = 'x'.repeat((serial * 37) % 900);
      commands.push(serial % 7 === 0 ? resp('DEL', key) : resp('SET', key, `${serial}:${padding}`));
      sent.push({ history, serial });
    }
    client.send(Buffer.concat(commands));
    for (const { history, serial } of sent) {
      const line = await client.line();
      if (line !== '+OK' && !line.startsWith(':')) throw new Error(line);
      history.acknowledged = serial;
      this.acknowledged++;
    }
  }
}

/** The numbers of the writes that the keys have now; 0 for a key that is not there. */
async function valuesOf(client: RawClient, keys: readonly string[]): Promise<number[]> {
  client.send(Buffer.concat(keys.map((key) => resp('GET', key))));
  const values: number[] = [];
  for (const _ of keys) {
    const header = await client.line();
    values.push(header === '$-1' ? 0 : Number((await client.line()).split(':')[0]));
  }
  return values;
}

/**
 * Kills a server under load at random moments, so many times.
 *
 * @returns How many writes were acknowledged in all.
 */
export async function killAndRecover(data: string, times: number, random: () => number): Promise<number> {
  const writers = Array.from({ length: CLIENTS }, (_, id) => new Writer(id));
  const options = { data, shards: 2, fsync: 'always', args: ['--compact-min', '300000'] } as const;
  let server = await ServerProcess.start(options);
  for (let round = 0; round < times; round++) {
    const running = writers.map((writer) => writer.run(server.port));
    await new Promise((resolve) => setTimeout(resolve, 20 + random() * 500));
    server.child.kill('SIGKILL');
    await server.exited;
    await Promise.all(running);

    server = await ServerProcess.start(options);
    using client = await RawClient.connect(server.port);
    for (const writer of writers) {
      const values = await valuesOf(client, [...writer.histories.keys()]);
      for (const [index, [key, { sent, acknowledged }]] of [...writer.histories].entries()) {
        const found = values[index];
        const about = `round ${round}, ${key}: sent ${sent}, acknowledged ${acknowledged}, found ${found}`;
        if (found === 0) {
          // Deleted, or never there: some deletion from the last acknowledged write on, or no write acknowledged.
          const isDeletion = (serial: number): boolean => serial % 7 === 0;
          let isPossible = acknowledged === 0;
          for (let serial = acknowledged; serial <= sent; serial += KEYS_PER_CLIENT)
            isPossible ||= isDeletion(serial);
          expect(isPossible, about).toBe(true);
        } else {
          expect(found, about).toBeGreaterThanOrEqual(acknowledged);
          expect(found, about).toBeLessThanOrEqual(sent);
          expect(found % 7, about).not.toBe(0);
        }
      }
    }
  }
  expect(await server.stop(), server.output.stderr).toBe(0);
  return writers.reduce((sum, writer) => sum + writer.acknowledged, 0);
}
