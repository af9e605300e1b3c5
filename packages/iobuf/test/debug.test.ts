import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { expect, test } from 'vitest';

const dist = new URL('../dist/index.js', import.meta.url).href;
const run = promisify(execFile);

/** Runs a module in debug mode, with the built packages; returns what it printed. */
async function inDebugMode(body: string): Promise<{ stdout: string; stderr: string }> {
  const code = `
    import { createArena, ShardMemory } from '@sunstar/runtime';
    import { forgottenBuffers, IOBuf } from '${dist}';
    const memory = new ShardMemory(createArena(4 * 1024 * 1024));
    const collect = async () => {
      for (let i = 0; i < 20; i++) { globalThis.gc(); await new Promise((done) => setTimeout(done, 5)); }
    };
    ${body}`;
  return run(process.execPath, ['--expose-gc', '--input-type=module', '-e', code], {
    cwd: fileURLToPath(new URL('..', import.meta.url)),
    env: { ...process.env, SUNSTAR_DEBUG: '1', NODE_OPTIONS: '' },
  });
}

test('a forgotten buffer is reported with the stack that made it, a disposed or moved one is not', async () => {
  const { stdout, stderr } = await inDebugMode(`
    function forgetful() { IOBuf.from('lost for good', memory); }
    function careful() { const b = IOBuf.from('x', memory); const c = b.move(); c[Symbol.dispose](); new IOBuf(memory)[Symbol.dispose](); }
    for (let i = 0; i < 3; i++) careful();
    forgetful();
    await collect();
    console.log(forgottenBuffers());`);
  expect(stdout.trim()).toBe('1');
  expect(stderr).toContain('SUNSTAR_IOBUF_FORGOTTEN');
  expect(stderr).toContain('13 bytes');
  expect(stderr).toContain('at forgetful');
  expect(stderr).not.toContain('at careful');
});

test('use after move or dispose tells where that was', async () => {
  const { stdout } = await inDebugMode(`
    function giveAway(buffer) { return buffer.move(); }
    function end(buffer) { buffer[Symbol.dispose](); }
    const buffer = IOBuf.from('x', memory);
    const moved = giveAway(buffer);
    try { buffer.append('y'); } catch (error) { console.log(error.code, error.message); }
    end(moved);
    try { moved.append('y'); } catch (error) { console.log(error.code, error.message); }`);
  expect(stdout).toMatch(/SUNSTAR_IOBUF_MOVED.*at giveAway.*SUNSTAR_IOBUF_DISPOSED.*at end/s);
});
