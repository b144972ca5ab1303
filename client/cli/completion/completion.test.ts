/** Completion, by the shells themselves where they are installed. */
import { spawnSync } from 'node:child_process';
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { program } from '../../../testing/program.ts';
import { FILES, PAIRS } from '../commands/index.ts';
import { candidates } from './candidates.ts';

const MAIN = program(new URL('../main.ts', import.meta.url));
const directory = mkdtempSync(join(tmpdir(), 'filerpair-completion-'));
afterAll(() => rmSync(directory, { recursive: true, force: true }));
const filerpair = join(directory, 'filerpair');
writeFileSync(filerpair, `#!/bin/sh\nexec '${process.execPath}' '${MAIN}' "$@"\n`);
chmodSync(filerpair, 0o755);
const kubeconfig = join(directory, 'kubeconfig');
const context = (name: string) => ({ name, context: { cluster: 'c', user: 'u' } });
writeFileSync(
  kubeconfig,
  JSON.stringify({
    contexts: [context('production'), context('lab')],
    clusters: [{ name: 'c', cluster: { server: 'https://127.0.0.1:1' } }],
    users: [{ name: 'u', user: {} }],
  }),
);

const of = (line: string, current: string, root = FILES) =>
  candidates(
    root,
    line.split(' ').filter((word) => word !== ''),
    current,
  );
const names = (line: string, current: string, root = FILES) =>
  of(line, current, root).values.map(({ value }) => value);

describe('candidates', () => {
  test('commands, below groups and after options, too', () => {
    expect(names('', '')).toEqual(expect.arrayContaining(['ls', 'cp', 'pairs', 'help']));
    expect(names('-n storage pairs', 's')).toEqual(expect.arrayContaining(['status', 'shares', 'snapshot']));
  });

  test('options and their values', () => {
    expect(names('cp', '--')).toEqual(
      expect.arrayContaining(['--recursive', '--resume', '--timeout', '--help']),
    );
    expect(names('ls -o', '')).toEqual(['json', 'yaml', 'wide']);
    expect(names('ls', '--output=')).toEqual(['--output=json', '--output=yaml', '--output=wide']);
    expect(of('status -n', '', PAIRS)).toEqual({ values: [], ask: 'namespace' });
  });

  test('operands: names of the cluster, files, choices', () => {
    expect(of('drain', '', PAIRS).ask).toBe('server');
    expect(of('-n x drain a', '', PAIRS).ask).toBe('pair');
    expect(of('drain a nas', '', PAIRS)).toEqual({ values: [], ask: null });
    expect(names('rollout', '', PAIRS)).toEqual(['pause', 'resume']);
    expect(of('cp a b', '').ask).toBe('file');
  });
});

test('the program answers a shell, also where no cluster answers', () => {
  const ask = (...words: string[]) =>
    spawnSync(filerpair, ['__complete', ...words], { encoding: 'utf8', env: { KUBECONFIG: kubeconfig } })
      .stdout;
  expect(ask('pairs', 'dra')).toBe(
    'drain\ttake a server out of service: its partner serves until undrain\n:4\n',
  );
  expect(ask('cp', 'x')).toBe(':0\n');
  expect(ask('pairs', 'status', '--context', 'p')).toBe('production\t\n:4\n');
  expect(ask('pairs', 'status', '')).toBe(':4\n');
}, 60_000);

const has = (shell: string) => spawnSync(shell, ['--version']).status === 0;
/** What the shell has for a line that ends where the cursor is. */
const shells: Readonly<Record<string, (words: readonly string[]) => string>> = {
  bash: (words) =>
    `source <(filerpair completion bash); COMP_WORDS=(${words.map((word) => `'${word}'`).join(' ')}); COMP_CWORD=${words.length - 1}; _filerpair; printf '%s\\n' "\${COMPREPLY[@]}"`,
  fish: (words) => `filerpair completion fish | source; complete -C '${words.join(' ')}'`,
  zsh: (words) =>
    `compdef() { :; }; _describe() { print -l -- "\${(@P)4}"; }; _files() { print files; }; source <(filerpair completion zsh); words=(${words.map((word) => `'${word}'`).join(' ')}); CURRENT=${words.length}; _filerpair`,
};

test.each(Object.keys(shells).filter(has))(
  '%s completes',
  (shell) => {
    const said = (...words: string[]): string =>
      spawnSync(shell, ['-c', shells[shell]!(words)], {
        encoding: 'utf8',
        env: { PATH: `${directory}:${process.env['PATH']}`, HOME: directory },
      }).stdout;
    expect(said('filerpair', 'pairs', 'un')).toMatch(/^undrain/m);
    expect(said('filerpair', 'ls', '--ver')).toMatch(/^--verbose/m);
  },
  60_000,
);
