import { spawnSync } from 'node:child_process';
import { describe, expect, test } from 'vitest';
import { program } from '../../testing/program.ts';

const MAIN = program(new URL('./main.ts', import.meta.url));

function run(...args: string[]): { code: number | null; out: string; err: string } {
  const { status, stdout, stderr } = spawnSync(process.execPath, [MAIN, ...args], { encoding: 'utf8' });
  return { code: status, out: stdout, err: stderr };
}

describe('the command is the first word that is no flag', () => {
  test.each([
    ['ls', '--timeout', '5s'],
    ['--timeout', '5s', 'ls'],
    ['-v', 'ls'],
  ])('%s %s %s', (...args) => {
    const { code, err } = run(...args.filter((one) => one !== undefined));
    expect(code).toBe(2);
    expect(err).toContain('usage: filerpair ls');
  });

  test('of the plug-in for kubectl: -n NAMESPACE export', () => {
    const { code, out } = run('pairs', '-n', 'storage', 'export', '--help');
    expect(code).toBe(0);
    expect(out).toContain('export');
  });
});

test('without a command the usage is shown, as an error unless it was asked for', () => {
  expect(run()).toMatchObject({ code: 2, out: '' });
  expect(run('--help')).toMatchObject({ code: 0, err: '' });
  expect(run('nothing')).toMatchObject({ code: 2, out: '' });
});
