import { execFileSync } from 'node:child_process';
import { expect, it } from 'vitest';

const HOSTILE = 'CN=x\x1b]0;owned\x07\u009b2J\nfiler-a: all is well';

/** In a process of its own: what is tested is what comes out of it. */
function logged(format: 'json' | 'text'): string {
  const program = `
    import { createLog } from ${JSON.stringify(new URL('./log.ts', import.meta.url).href)};
    createLog({ level: 'info', format: '${format}' }, { server: 'filer-a' }).info(${JSON.stringify(HOSTILE)}, { detail: ${JSON.stringify(HOSTILE)} });`;
  return execFileSync(process.execPath, ['--input-type=module', '--eval', program], { encoding: 'utf8' });
}

it('writes text in which nobody else writes lines or steers a terminal', () => {
  const text = logged('text');
  expect(text).not.toMatch(/[^\P{Cc}\n]/u);
  expect(text).toContain('CN=x\\x1b]0;owned\\x07\\x9b2J');
  expect(text.split('\n').filter((line) => line.startsWith('filer-a'))).toEqual([]);
});

it('writes JSON that says what was said, a line for each', () => {
  const lines = logged('json').trimEnd().split('\n');
  expect(lines).toHaveLength(1);
  expect(JSON.parse(lines[0]!)).toMatchObject({ message: HOSTILE, detail: HOSTILE, server: 'filer-a' });
});
