#!/usr/bin/env node
/** filerpair: files on a pair of servers, from the command line. */
import { basename, join } from 'node:path';
import { parseArgs } from 'node:util';
import { ID_MAX, processIdentity } from '../identity.ts';
import { type Command, type CommonOptions, type Flags, type Surroundings, UsageError } from './command.ts';
import { COMMANDS } from './commands/index.ts';
import { tell } from './explain.ts';
import { PAIR_COMMANDS } from './pairs/commands.ts';
import { Terminal } from './terminal.ts';
import { commandUsage, pairsUsage, usage } from './usage.ts';

const COMMON_FLAGS = {
  uid: { type: 'string' },
  gid: { type: 'string' },
  timeout: { type: 'string' },
  verbose: { type: 'boolean', short: 'v' },
  help: { type: 'boolean', short: 'h' },
} as const;

/** A takeover by silence is over in seconds; after a minute something else is wrong, and an administrator should know. */
const TIMEOUT_MS = 60_000;

/** How long an interrupted command may take to leave no temporary file. Ms. */
const CLEAN_UP_MS = 5000;

const stdout = new Terminal(process.stdout);
const stderr = new Terminal(process.stderr);

/** One program, two sets of commands: files on a pair, and (as kubectl's plug-in) the pairs of a cluster. */
interface Program {
  readonly name: string;
  readonly commands: readonly Command[];
  readonly usage: () => string;
}

const FILES: Program = { name: 'filerpair', commands: COMMANDS, usage: () => usage(COMMANDS) };
const PAIRS: Program = {
  name: 'kubectl filerpair',
  commands: PAIR_COMMANDS,
  usage: () => pairsUsage(PAIR_COMMANDS),
};

async function main(calledAs: string, argv: readonly string[]): Promise<number> {
  // kubectl looks for a program of this name; where there is none, `filerpair pairs` is the same.
  if (calledAs.startsWith('kubectl-filerpair')) return runProgram(PAIRS, argv);
  return argv[0] === 'pairs' ? runProgram(PAIRS, argv.slice(1)) : runProgram(FILES, argv);
}

async function runProgram(program: Program, argv: readonly string[]): Promise<number> {
  const { name, rest } = commandIn(program, argv);
  if (name === undefined) {
    const asked = argv.includes('--help') || argv.includes('-h');
    (asked ? stdout : stderr).write(program.usage());
    return asked ? 0 : 2;
  }
  if (name === 'help') return help(program, rest[0]);
  const command = program.commands.find((each) => each.name === name);
  if (!command) {
    stderr.line(`filerpair: no command "${name}"; ${program.name} help lists them`);
    return 2;
  }
  return run(program, command, rest);
}

/** The command's name is the first word that is neither a flag nor a flag's value: `-n storage export` is `export -n storage`. */
function commandIn(program: Program, argv: readonly string[]): { name: string | undefined; rest: string[] } {
  const options = Object.assign(
    {},
    ...program.commands.map(({ flags }) => flags),
    COMMON_FLAGS,
  ) as Command['flags'];
  const { tokens } = parseArgs({
    args: [...argv],
    options,
    strict: false,
    allowPositionals: true,
    tokens: true,
  });
  const found = tokens.find((token) => token.kind === 'positional');
  return { name: found?.value, rest: argv.filter((_, index) => index !== found?.index) };
}

function help(program: Program, name: string | undefined): number {
  const command = program.commands.find((each) => each.name === name);
  stdout.write(command ? commandUsage(program.name, command) : program.usage());
  return name === undefined || command ? 0 : 2;
}

async function run(program: Program, command: Command, argv: readonly string[]): Promise<number> {
  const stop = new AbortController();
  const interrupted = () => {
    // The second time without ceremony.
    if (stop.signal.aborted) process.exit(130);
    stop.abort(new Error('interrupted'));
    if (command.name === 'proxy') return;
    if (command.cleansUp !== true) process.exit(130);
    setTimeout(() => process.exit(130), CLEAN_UP_MS).unref();
  };
  process.on('SIGINT', interrupted);
  process.on('SIGTERM', interrupted);
  // The reader of our output has gone (filerpair cat ... | head): there is nothing left to do.
  process.stdout.on('error', (error: NodeJS.ErrnoException) => process.exit(error.code === 'EPIPE' ? 0 : 1));
  try {
    const { flags, positional } = parse(command, argv);
    if (flags['help'] === true) {
      stdout.write(commandUsage(program.name, command));
      return 0;
    }
    const [min, max] = command.count;
    if (positional.length < min || positional.length > max)
      throw new UsageError(wrongCount(positional.length, min));
    await command.run(positional, flags, commonOptions(flags), surroundings(stop.signal));
    return 0;
  } catch (error) {
    if (stop.signal.aborted) return 130;
    tell(error, stderr);
    if (!(error instanceof UsageError)) return 1;
    stderr.line(`usage: ${program.name} ${command.form}`);
    return 2;
  }
}

function parse(command: Command, argv: readonly string[]): { flags: Flags; positional: string[] } {
  try {
    const options = { ...COMMON_FLAGS, ...command.flags };
    const { values, positionals } = parseArgs({ args: [...argv], options, allowPositionals: true });
    return { flags: values as Flags, positional: positionals };
  } catch (error) {
    throw new UsageError((error as Error).message.split('. ')[0]!);
  }
}

function wrongCount(given: number, min: number): string {
  return given < min ? `something is missing: ${given} of at least ${min} arguments` : 'too many arguments';
}

function commonOptions(flags: Flags): CommonOptions {
  const own = processIdentity();
  const uid = number('uid', flags) ?? own.uid;
  const gid = number('gid', flags) ?? own.gid;
  const seconds = number('timeout', flags);
  return {
    timeoutMs: seconds === undefined ? TIMEOUT_MS : seconds === 0 ? undefined : seconds * 1000,
    // Groups belong to the user: acting as another user does not bring one's own along.
    identity: { uid, gid, gids: uid === own.uid ? own.gids : [] },
    verbose: flags['verbose'] === true,
  };
}

function number(name: string, flags: Flags): number | undefined {
  const text = flags[name];
  if (text === undefined) return undefined;
  const value = typeof text === 'string' && /^\d{1,10}$/.test(text) ? Number(text) : Number.NaN;
  if (!(value <= ID_MAX)) throw new UsageError(`--${name} ${text}: not a number in 0..${ID_MAX}`);
  return value;
}

function surroundings(stop: AbortSignal): Surroundings {
  return { stdout, stderr, bytes: process.stdout, stop, runtimeDirectory: runtimeDirectory() };
}

/** XDG Base Directory Specification. */
function runtimeDirectory(): string | null {
  const ofUser = process.env['XDG_RUNTIME_DIR'];
  if (process.geteuid?.() === 0) return '/run/filerpair';
  return ofUser === undefined || ofUser === '' ? null : join(ofUser, 'filerpair');
}

process.exitCode = await main(basename(process.argv[1] ?? ''), process.argv.slice(2));
