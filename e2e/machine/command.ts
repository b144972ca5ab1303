/** Runs other programs for the set-up and the tests. */
import { type ChildProcess, spawn } from 'node:child_process';
import { createInterface } from 'node:readline';

// Output is collected, not shown: a stage prints one line for people (stage.ts) and the output is only worth
// reading when the program failed, so the error carries its end.

/** Lines of output that an error shows. */
const ERROR_LINES = 25;
/** Characters of output kept of one run; enough for `kubectl get -o json` of everything a test looks at. */
const OUTPUT_MAX = 64 * 1024 * 1024;

export interface RunOptions {
  /** Directory to run in. */
  readonly cwd?: string;
  /** Written to standard input, which is closed otherwise. */
  readonly input?: string;
  /** The program is killed after this many milliseconds. None: no limit. */
  readonly timeoutMs?: number;
  /** Variables set in addition to the inherited environment. */
  readonly variables?: Readonly<Record<string, string>>;
  /** Called for every line of standard output and standard error as it appears. */
  readonly onLine?: (line: string) => void;
}

export interface Outcome {
  /** Exit code; null when a signal ended the program. */
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
  /** The time limit ended it. */
  readonly timedOut: boolean;
}

export class CommandFailed extends Error {
  override name = 'CommandFailed';
  readonly outcome: Outcome;

  constructor(command: readonly string[], outcome: Outcome) {
    const end = outcome.timedOut ? 'did not finish in time' : `ended with ${outcome.code ?? 'a signal'}`;
    const tail = `${outcome.stdout}\n${outcome.stderr}`.trim().split('\n').slice(-ERROR_LINES).join('\n');
    super(`${command.join(' ').slice(0, 300)}: ${end}\n${tail}`);
    this.outcome = outcome;
  }
}

/**
 * Starts a program that inherits the environment. Variables go through env(1): only main files read or change
 * the environment of this process.
 */
export function start(
  command: readonly string[],
  options: Pick<RunOptions, 'cwd' | 'variables'> = {},
): ChildProcess {
  const assignments = Object.entries(options.variables ?? {}).map(([name, value]) => `${name}=${value}`);
  const argv = assignments.length > 0 ? ['env', ...assignments, ...command] : command;
  const child = spawn(argv[0]!, argv.slice(1), {
    stdio: ['pipe', 'pipe', 'pipe'],
    ...(options.cwd === undefined ? {} : { cwd: options.cwd }),
  });
  running.add(child);
  child.on('close', () => running.delete(child));
  return child;
}

/** What this process has started ends with it, however it ends short of SIGKILL. */
const running = new Set<ChildProcess>();
process.on('exit', () => {
  for (const child of running) child.kill();
});

/** Runs a program to its end, whatever the end is. Rejects only when it cannot be started. */
export function outcomeOf(command: readonly string[], options: RunOptions = {}): Promise<Outcome> {
  return new Promise((resolve, reject) => {
    const child = start(command, options);
    const output = { stdout: '', stderr: '' };
    let timedOut = false;
    for (const name of ['stdout', 'stderr'] as const) {
      const stream = child[name]!;
      stream.setEncoding('utf8');
      stream.on('data', (text: string) => {
        if (output[name].length < OUTPUT_MAX) output[name] += text;
      });
      if (options.onLine) createInterface({ input: stream }).on('line', options.onLine);
    }
    const timer =
      options.timeoutMs === undefined
        ? undefined
        : setTimeout(() => {
            timedOut = true;
            child.kill('SIGKILL');
          }, options.timeoutMs);
    child.on('error', reject);
    child.on('close', (code) => {
      clearTimeout(timer);
      resolve({ code, ...output, timedOut });
    });
    // A program that ends before it has read its input is judged by its exit code, not by EPIPE.
    child.stdin!.on('error', () => {});
    child.stdin!.end(options.input ?? '');
  });
}

/** Runs a program and returns its standard output. Throws CommandFailed unless it exits with 0. */
export async function run(command: readonly string[], options: RunOptions = {}): Promise<string> {
  const outcome = await outcomeOf(command, options);
  if (outcome.code !== 0) throw new CommandFailed(command, outcome);
  return outcome.stdout;
}

/** True when the program exists and exits with 0. */
export async function succeeds(command: readonly string[], options: RunOptions = {}): Promise<boolean> {
  try {
    return (await outcomeOf(command, options)).code === 0;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return false;
    throw error;
  }
}

/** A shell pipeline in which every part must succeed. Arguments come in as $1, $2, ... and need no quoting. */
export async function pipeline(
  script: string,
  args: readonly string[] = [],
  options: RunOptions = {},
): Promise<string> {
  return run(['bash', '-euo', 'pipefail', '-c', script, 'pipeline', ...args], options);
}
