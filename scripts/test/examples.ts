/** A code block of a Markdown page that is meant to be run. */
export interface Example {
  /** Line of the opening fence, from 1. */
  line: number;
  source: string;
  /** File to write it to, beside the others of its page; the name that other blocks import, with `.ts`. */
  fileName: string;
  /** Whether it is a program; otherwise a module that one of the page's programs loads. */
  isProgram: boolean;
  /** What the program has to print, where the page shows it. */
  output: string | undefined;
}

const FENCE = /^```(\S*)[ \t]*(.*)$/;

/**
 * Finds the examples of a Markdown page:
 * - a fence ` ```ts runnable ` is a program,
 * - ` ```ts file=shard.ts ` is a module beside it,
 * - ` ```text output ` after a program is what it prints.
 */
export function findExamples(markdown: string): Example[] {
  const examples: Example[] = [];
  const lines = markdown.split('\n');
  let program: Example | undefined;
  for (let at = 0; at < lines.length; at++) {
    const fence = FENCE.exec(lines[at]);
    if (fence === null) continue;
    const end = lines.indexOf('```', at + 1);
    if (end < 0) throw new Error(`the fence in line ${at + 1} is never closed`);
    const [, language, attributes] = fence;
    const source = `${lines.slice(at + 1, end).join('\n')}\n`;
    const line = at + 1;
    const file = /(?:^|\s)file=(\S+\.ts)(?:\s|$)/.exec(attributes)?.[1];
    const isProgram = /(?:^|\s)runnable(?:\s|$)/.test(attributes);
    if (language === 'ts' && (isProgram || file !== undefined)) {
      const example = { line, source, fileName: file ?? `line-${line}.ts`, isProgram, output: undefined };
      examples.push(example);
      if (isProgram) program = example;
    } else if (language === 'text' && attributes === 'output') {
      if (program === undefined) throw new Error(`the output in line ${line} follows no runnable program`);
      program.output = source;
    }
    at = end;
  }
  return examples;
}
