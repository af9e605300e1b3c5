import { MessageChannel, MessagePort } from 'node:worker_threads';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { move } from '../../src/smp/transferable.ts';
import { shards, startService } from './shards.ts';

const code = (name: string): unknown => expect.objectContaining({ code: `SUNSTAR_${name}` });

class Store {
  readonly seen: unknown[] = [];
  #gates: (() => void)[] = [];

  keep(...values: unknown[]): number {
    this.seen.push(...values);
    return values.length;
  }
  make(sizeBytes: number): Uint8Array {
    return move(new Uint8Array(sizeBytes).fill(9));
  }
  async makeLate(sizeBytes: number): Promise<ArrayBuffer> {
    await new Promise<void>((resolve) => this.#gates.push(resolve));
    return move(new ArrayBuffer(sizeBytes));
  }
  open(): void {
    for (const gate of this.#gates.splice(0)) gate();
  }
  async *pieces(count: number): AsyncGenerator<Uint8Array> {
    for (let index = 0; index < count; index++) yield move(new Uint8Array(1000).fill(index));
  }
}

async function start(ports = true) {
  const all = shards({ ports });
  const services = await startService(all, 'store', Store);
  return { all, local: services[0], store: services[1].local };
}

describe('Buffers that are told to move', () => {
  it('arrive whole and leave nothing behind, as arguments, results and elements', async () => {
    const { all, local, store } = await start();
    const bytes = new Uint8Array(100_000).fill(7);
    const words = new Float64Array([1, 2]);
    const twice = new ArrayBuffer(8);
    move(twice);
    expect(await all.until(local.on(1).keep(move(bytes), move(words), [twice, { twice }]))).toBe(3);
    expect([bytes.byteLength, words.byteLength, twice.byteLength]).toEqual([0, 0, 0]);
    const [first, second, third] = store.seen as [
      Buffer,
      Float64Array,
      [ArrayBuffer, { twice: ArrayBuffer }],
    ];
    expect(Buffer.isBuffer(first) && first.equals(Buffer.alloc(100_000, 7))).toBe(true);
    expect(second).toEqual(new Float64Array([1, 2]));
    expect(third[0]).toBeInstanceOf(ArrayBuffer);
    expect(third[1].twice).toBe(third[0]);
    expect((await all.until(local.on(1).make(5000))).every((byte) => byte === 9)).toBe(true);
    const stream = (await all.until(local.on(1).pieces(3)))[Symbol.asyncIterator]();
    for (let index = 0; index < 3; index++) {
      expect(((await all.until(stream.next())).value as Uint8Array)[999]).toBe(index);
    }
    await all.until(stream.next());
    await all.settle();
    all.check();
  });

  it('are copied without being told, and where there is no port', async () => {
    const { all, local, store } = await start(false);
    const bytes = move(new Uint8Array(10));
    await all.until(local.on(1).keep(bytes));
    expect([bytes.byteLength, (store.seen[0] as Buffer).length]).toEqual([10, 10]);
    const { port1 } = new MessageChannel();
    await expect(local.on(1).keep(port1)).rejects.toEqual(code('NOT_CLONEABLE'));
    port1.close();
    const other = await start();
    const plain = new Uint8Array(10);
    await other.all.until(other.local.on(1).keep(plain));
    expect(plain.byteLength).toBe(10);
  });

  it('are whole buffers, and not moved already', async () => {
    const { all, local } = await start();
    expect(() => move(Buffer.from('part of a pool'))).toThrow(code('NOT_TRANSFERABLE'));
    expect(() => move(new Uint8Array(new SharedArrayBuffer(8)))).toThrow(code('NOT_TRANSFERABLE'));
    const bytes = move(new Uint8Array(8));
    const again = new Uint8Array(bytes.buffer);
    move(again);
    // The same memory twice: the second has none any more.
    await expect(local.on(1).keep(bytes, again)).rejects.toEqual(code('NOT_TRANSFERABLE'));
    const other = move(new Uint8Array(8));
    await expect(local.on(1).keep(other, () => {})).rejects.toEqual(code('NOT_CLONEABLE'));
    expect(other.byteLength).toBe(8);
    expect(await all.until(local.on(1).keep(other))).toBe(1);
    all.check();
  });

  it('and message ports go on working where they went', async () => {
    const { all, local, store } = await start();
    const { port1, port2 } = new MessageChannel();
    await all.until(local.on(1).keep({ port: port1 }));
    const { port } = store.seen[0] as { port: MessagePort };
    expect(port).toBeInstanceOf(MessagePort);
    const heard = new Promise((resolve) => port2.once('message', resolve));
    port.postMessage('from there');
    expect(await heard).toBe('from there');
    port.close();
    all.check();
  });

  it('do not get mixed up when some of them are not wanted, or cannot be sent', async () => {
    const step = fc.constantFrom('keep', 'refuse', 'late', 'make', 'nested', 'turn');
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 25 }), async (steps) => {
        const { all, local, store } = await start();
        const expected: number[] = [];
        const done: Promise<unknown>[] = [];
        for (const [index, kind] of steps.entries()) {
          const buffer = (): Uint8Array => move(new Uint8Array(16).fill(index));
          if (kind === 'keep') {
            expected.push(index);
            done.push(local.on(1).keep(buffer()));
          } else if (kind === 'refuse') {
            done.push(expect(local.on(1).keep(buffer(), () => {})).rejects.toEqual(code('NOT_CLONEABLE')));
          } else if (kind === 'late') {
            const signal = AbortSignal.timeout(0);
            done.push(expect(local.on(1, { signal }).makeLate(16)).rejects.toThrow());
          } else if (kind === 'make') {
            done.push(
              local
                .on(1)
                .make(32)
                .then((bytes) => expect(bytes.length).toBe(32)),
            );
          } else if (kind === 'nested') {
            expected.push(100 + index, index);
            const outer = {
              first: buffer(),
              get second() {
                done.push(local.on(1).keep(move(new Uint8Array(16).fill(100 + index))));
                return 1;
              },
            };
            done.push(local.on(1).keep(outer));
          } else await all.turn();
        }
        await new Promise((resolve) => setTimeout(resolve, 2));
        await all.settle();
        store.open();
        await all.until(Promise.all(done));
        await all.settle();
        const seen = store.seen.map(
          (value) => (value instanceof Uint8Array ? value : (value as { first: Uint8Array }).first)[0],
        );
        expect(seen).toEqual(expected);
        all.check();
      }),
      { numRuns: 30 },
    );
  });
});
