#!/usr/bin/env node
/** filerpair: files on a pair of servers, from the command line. */
import { basename, join } from 'node:path';
import packageJson from '../../package.json' with { type: 'json' };
import { mountHelperWords } from '../mounting/mount-helper.ts';
import { type Command, type CommandGroup, type Surroundings, UsageError } from './command.ts';
import { commonOptions } from './common-options.ts';
import { answerShell } from './completion/answer.ts';
import { ExitCode, exitCodeOf } from './exit-code.ts';
import { tell } from './explain.ts';
import { parseLine, WrongLine } from './parser.ts';
import { Terminal } from './terminal.ts';

/** How long an interrupted command may take to leave no temporary file. Ms. */
const CLEAN_UP_MS = 5000;

const stdout = new Terminal(process.stdout);
const stderr = new Terminal(process.stderr);

async function main(program: string, given: readonly string[]): Promise<number> {
  // mount(8) calls a program of this name for a line of fstab.
  const words = basename(program) === 'mount.filerpair' ? mountHelperWords(given) : given;
  const root = await rootOf(basename(program), words);
  // The reader of our output has gone (filerpair cat ... | head): there is nothing left to do.
  process.stdout.on('error', (error: NodeJS.ErrnoException) => process.exit(error.code === 'EPIPE' ? 0 : 1));
  if (words[0] === '__complete') {
    stdout.write(await answerShell(root, words.slice(1)));
    return ExitCode.Done;
  }
  const stop = new AbortController();
  let usage: string | undefined;
  try {
    const parsed = parseLine(root, packageJson.version, words, stdout.columns);
    if (parsed.kind === 'Text') {
      stdout.write(parsed.text);
      return ExitCode.Done;
    }
    if (parsed.kind === 'Nothing') {
      stderr.write(parsed.text);
      return ExitCode.Usage;
    }
    const { command, positional, flags } = parsed;
    usage = parsed.usage;
    stopWhenAsked(command, stop);
    await command.run(positional, flags, commonOptions(flags), surroundings(program, stop.signal));
    return ExitCode.Done;
  } catch (error) {
    if (stop.signal.aborted) return ExitCode.Interrupted;
    tell(error, stderr);
    if (error instanceof WrongLine) usage = error.usage;
    if (error instanceof UsageError && usage !== undefined) stderr.line(`usage: ${usage}`);
    return exitCodeOf(error);
  }
}

async function rootOf(program: string, words: readonly string[]): Promise<CommandGroup> {
  // kubectl looks for a program of this name; where there is none, `filerpair pairs` is the same.
  const isPlugIn = program.startsWith('kubectl-filerpair');
  if (!isPlugIn && words[0] === 'proxy') {
    // It runs for weeks, and the other commands would take more memory than it does.
    const { proxy } = await import('./commands/proxy.ts');
    return { name: 'filerpair', summary: proxy.summary, commands: [proxy] };
  }
  const { FILES, PAIRS } = await import('./commands/index.ts');
  return isPlugIn ? PAIRS : FILES;
}

function stopWhenAsked(command: Command, stop: AbortController): void {
  const interrupted = () => {
    // The second time without ceremony.
    if (stop.signal.aborted) process.exit(ExitCode.Interrupted);
    stop.abort(new Error('interrupted'));
    if (command.runsOn === true) return;
    if (command.cleansUp !== true) process.exit(ExitCode.Interrupted);
    setTimeout(() => process.exit(ExitCode.Interrupted), CLEAN_UP_MS).unref();
  };
  process.on('SIGINT', interrupted);
  process.on('SIGTERM', interrupted);
}

function surroundings(program: string, stop: AbortSignal): Surroundings {
  return {
    stdout,
    stderr,
    bytes: process.stdout,
    input: process.stdin,
    stop,
    runtimeDirectory: runtimeDirectory(),
    program,
  };
}

/** XDG Base Directory Specification. */
function runtimeDirectory(): string | null {
  const ofUser = process.env['XDG_RUNTIME_DIR'];
  if (process.geteuid?.() === 0) return '/run/filerpair';
  return ofUser === undefined || ofUser === '' ? null : join(ofUser, 'filerpair');
}

process.exitCode = await main(process.argv[1] ?? '', process.argv.slice(2));
