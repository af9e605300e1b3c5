import { execFile } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { promisify } from 'node:util';
import ts from 'typescript';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type Example, findExamples } from './examples.js';

const root = path.resolve(import.meta.dirname, '../..');
// Inside the bench package, because that one depends on every other.
const workDirectory = path.join(root, `bench/build/examples-${process.pid}`);

interface Page {
  name: string;
  directory: string;
  examples: Example[];
}

function findPages(): Page[] {
  const children = (parent: string) =>
    readdirSync(path.join(root, parent)).map((name) => path.join(parent, name));
  const readmes = ['.', 'native', ...children('packages'), ...children('examples')].map((directory) =>
    path.join(directory, 'README.md'),
  );
  const docs = children('docs').filter((file) => file.endsWith('.md'));
  return [...readmes, ...docs]
    .filter((file) => existsSync(path.join(root, file)))
    .map((name) => ({
      name,
      directory: path.join(workDirectory, name.replaceAll(/\W+/g, '-')),
      examples: findExamples(readFileSync(path.join(root, name), 'utf8')),
    }))
    .filter(({ examples }) => examples.length > 0);
}

/** Compiles the pages' examples with the workspace's own settings; returns what the compiler complains about. */
function compile(pages: readonly Page[]): string {
  const files: string[] = [];
  for (const { directory, examples } of pages) {
    mkdirSync(directory, { recursive: true });
    for (const { fileName, source } of examples) {
      files.push(path.join(directory, fileName));
      writeFileSync(path.join(directory, fileName), source);
    }
  }
  writeFileSync(path.join(workDirectory, 'package.json'), '{ "type": "module" }');
  const config = ts.readConfigFile(path.join(root, 'tsconfig.base.json'), (file) => ts.sys.readFile(file));
  const base = ts.parseJsonConfigFileContent(
    { ...(config.config as object), files: [] },
    ts.sys,
    root,
  ).options;
  const program = ts.createProgram(files, {
    ...base,
    composite: false,
    declaration: false,
    declarationMap: false,
    isolatedDeclarations: false,
    noUnusedLocals: false,
    noUnusedParameters: false,
    typeRoots: [path.join(root, 'node_modules/@types')],
  });
  const emitted = program.emit();
  return ts.formatDiagnostics([...ts.getPreEmitDiagnostics(program), ...emitted.diagnostics], {
    getCanonicalFileName: (file) => file,
    getCurrentDirectory: () => workDirectory,
    getNewLine: () => '\n',
  });
}

describe('findExamples', () => {
  test('finds programs, their modules and their output, and leaves other blocks alone', () => {
    const page = [
      'Text',
      '```ts runnable',
      'console.log(1);',
      '```',
      '```text output',
      '1',
      '```',
      '```ts file=shard.ts',
      'export {};',
      '```',
      '```ts',
      'not run',
      '```',
      '```sh',
      'npm start',
      '```',
    ].join('\n');
    expect(findExamples(page)).toEqual([
      { line: 2, source: 'console.log(1);\n', fileName: 'line-2.ts', isProgram: true, output: '1\n' },
      { line: 8, source: 'export {};\n', fileName: 'shard.ts', isProgram: false, output: undefined },
    ]);
  });

  test('rejects a fence that is never closed and an output without a program', () => {
    expect(() => findExamples('```ts runnable\n1')).toThrow(/line 1/);
    expect(() => findExamples('```text output\n1\n```')).toThrow(/line 1/);
  });
});

const pages = findPages();

describe.skipIf(pages.length === 0)('the examples in the documentation', () => {
  let complaints = '';
  beforeAll(() => {
    complaints = compile(pages);
  }, 120_000);
  afterAll(() => rmSync(workDirectory, { recursive: true, force: true }));

  test('compile', () => {
    expect(complaints).toBe('');
  });

  for (const { name, directory, examples } of pages) {
    for (const { fileName, line, output } of examples.filter(({ isProgram }) => isProgram)) {
      test(`${name}, line ${line}, runs and exits by itself`, async () => {
        const program = path.join(directory, fileName.replace(/\.ts$/, '.js'));
        // Rejects, with what was printed, when the exit code is not 0 or the time is up.
        const { stdout } = await promisify(execFile)(process.execPath, [program], {
          cwd: directory,
          timeout: 45_000,
          killSignal: 'SIGKILL',
        });
        if (output !== undefined) expect(stdout).toBe(output);
      }, 60_000);
    }
  }
});
