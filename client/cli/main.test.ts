import { spawnSync } from 'node:child_process';
import { describe, expect, test } from 'vitest';
import { program } from '../../testing/program.ts';
import { type CommandGroup, isGroup } from './command.ts';
import { commandIn } from './command-line.ts';
import { FILES, PAIRS } from './commands/index.ts';
import { optionsOf } from './common-options.ts';
import { helpOf, parseLine } from './parser.ts';

const MAIN = program(new URL('./main.ts', import.meta.url));

function run(...args: string[]): { code: number | null; out: string; err: string } {
  const { status, stdout, stderr } = spawnSync(process.execPath, [MAIN, ...args], { encoding: 'utf8' });
  return { code: status, out: stdout, err: stderr };
}

const parsed = (root: CommandGroup, line: string) => parseLine(root, '1.2.3', line.split(' '), 80);

describe('options stand anywhere', () => {
  test.each([
    ['-n storage status nas', 'status', ['nas'], { namespace: 'storage' }],
    ['status nas -n storage', 'status', ['nas'], { namespace: 'storage' }],
    ['--namespace=storage -w status nas', 'status', ['nas'], { namespace: 'storage', watch: true }],
    ['-nstorage status -- -nas', 'status', ['-nas'], { namespace: 'storage' }],
    ['-wn storage status', 'status', [], { namespace: 'storage', watch: true }],
    ['drain a --no-wait', 'drain', ['a'], { 'no-wait': true }],
    ['-o json status', 'status', [], { output: 'json' }],
  ])('kubectl filerpair %s', (line, name, positional, flags) => {
    expect(parsed(PAIRS, line)).toMatchObject({ kind: 'Run', command: { name }, positional, flags });
    expect(parsed(PAIRS, line)).toEqual({
      kind: 'Run',
      command: expect.anything(),
      positional,
      flags,
      usage: expect.stringContaining(name),
    });
  });

  test('also before the words of a group', () => {
    expect(commandIn(FILES, ['-n', 'storage', 'pairs', '--json', 'status', 'nas'])).toMatchObject({
      path: ['pairs', 'status'],
      rest: ['-n', 'storage', '--json', 'nas'],
    });
  });
});

describe('what is wrong with a line is said with what would be right', () => {
  test.each([
    ['lss', 'unknown command "lss"; did you mean "ls"?'],
    ['-v sta', 'unknown command "sta"; did you mean "stat"?'],
    ['pairs -n x driam', 'unknown command "driam"; did you mean "drain"?'],
    ['ls', 'missing argument: URL'],
    ['cp a', 'missing argument: TARGET'],
    ['mv a b c', 'too many arguments: c'],
    ['ls --tiemout 5 nfs://a/', "unknown option '--tiemout'; did you mean --timeout?"],
    ['ls -o xml nfs://a/', 'Allowed choices are json, yaml, wide'],
    ['pairs rollout puase', 'pause|resume is pause or resume, not "puase"; did you mean "pause"?'],
  ])('filerpair %s', (line, said) => {
    expect(() => parsed(FILES, line)).toThrow(said);
  });
});

describe('every command', () => {
  const all = (group: CommandGroup): [string, CommandGroup['commands'][number]][] =>
    group.commands.flatMap((one) =>
      isGroup(one)
        ? all(one).map(([name, each]): [string, typeof each] => [`${one.name} ${name}`, each])
        : [[one.name, one] as [string, typeof one]],
    );
  const commands = all(FILES).flatMap(([name, one]) => (isGroup(one) ? [] : [[name, one] as const]));

  test('explains its operands and options, within the width that is asked for', () => {
    for (const [name, command] of commands) {
      const text = helpOf(command, `filerpair ${name}`, 100);
      expect(text).toContain(`Usage: filerpair ${name}`);
      for (const { name: option } of optionsOf(command)) expect(text, name).toContain(`--${option}`);
    }
  });

  test('has a value for an option, or none, as all others have', () => {
    const seen = new Map<string, boolean>();
    for (const [name, command] of commands) {
      for (const { name: long, option } of optionsOf(command)) {
        for (const spelling of [long, option.short].filter((one) => one !== undefined)) {
          const takes = option.value !== undefined;
          expect(seen.get(spelling) ?? takes, `${name}: ${spelling}`).toBe(takes);
          seen.set(spelling, takes);
        }
      }
    }
  });
});

test('the program says its version, its commands, and what is wrong', () => {
  expect(run('--version')).toMatchObject({ code: 0, out: expect.stringMatching(/^filerpair \d+\.\d+\.\d+/) });
  expect(run()).toMatchObject({ code: 2, out: '' });
  expect(run('--help')).toMatchObject({ code: 0, err: '', out: expect.stringContaining('Files:') });
  expect(run('help', 'pairs', 'drain').out).toContain('Usage: filerpair pairs drain [options] SERVER [PAIR]');
  const wrong = run('--timeout', '5s', 'ls', 'nfs://a/');
  expect(wrong).toMatchObject({ code: 2, out: '' });
  expect(wrong.err).toBe(
    'filerpair: --timeout 5s: not a number in 0..4294967294\nusage: filerpair ls [options] URL\n',
  );
}, 60_000);
