/** Parameters of every command of `filerpair`, and its description of itself: its help, its completion and its parser come from that. */
import type { Readable, Writable } from 'node:stream';
import type { Identity } from '../identity.ts';
import type { Terminal } from './terminal.ts';

/** The outside world of a command: only main.ts knows process. */
export interface Surroundings {
  readonly stdout: Terminal;
  readonly stderr: Terminal;
  /** Standard output as it is, for the contents of files. */
  readonly bytes: Writable;
  /** Standard input as it is. */
  readonly input: Readable;
  /** Aborted when the user or the system asks the process to stop. */
  readonly stop: AbortSignal;
  /** For what is to outlive a process, but not the machine. null: there is no such directory. */
  readonly runtimeDirectory: string | null;
  /** The path by which the program was started, for those that start it again. */
  readonly program: string;
}

export interface CommonOptions {
  /** Longest wait for one reply in ms; undefined waits through any outage. */
  readonly timeoutMs: number | undefined;
  /** `timeoutMs` was given, and is not the default. */
  readonly timeoutGiven: boolean;
  readonly identity: Identity;
  /** Say on stderr when the connection moves. */
  readonly verbose: boolean;
  /** Say what would be done, and do nothing. */
  readonly dryRun: boolean;
}

/** Values of options, by their long names. */
export type Flags = Readonly<Record<string, string | boolean | undefined>>;

/** Source of a word's completions: names that a cluster has, or local files. */
export type Completes = 'pair' | 'server' | 'namespace' | 'context' | 'file';

export interface Option {
  /** Name of its value in the help, in capitals; absent: it has none. */
  readonly value?: string;
  /** One letter. */
  readonly short?: string;
  readonly help: string;
  /** The only values that it takes. */
  readonly choices?: readonly string[];
  readonly completes?: Completes;
}

/** Keys are long names, without dashes. An option has a value in all commands that know it, or in none. */
export type Options = Readonly<Record<string, Option>>;

export interface Operand {
  /** In capitals. */
  readonly name: string;
  readonly help?: string;
  readonly optional?: true;
  /** One or more. */
  readonly many?: true;
  readonly completes?: Completes;
  /** The only values that it takes. */
  readonly choices?: readonly string[];
}

/** Object that a command works on, and so which common options it has: files of an export, a cluster, or neither. */
export type Target = 'export' | 'cluster' | 'other';

interface Described {
  readonly name: string;
  /** One line for the list of commands. */
  readonly summary: string;
  /** Heading in the list of commands, without a colon. */
  readonly group?: string;
}

export interface Command extends Described {
  readonly target: Target;
  readonly operands: readonly Operand[];
  /** Sentences of explanation; a line each. */
  readonly details?: readonly string[];
  /** Command lines, without the program's name. */
  readonly examples?: readonly string[];
  readonly options?: Options;
  /** It lists something: `-o json|yaml|wide`, and `--json`. */
  readonly lists?: true;
  /** It changes something and can say what without doing it: `--dry-run`. */
  readonly dryRun?: true;
  /** Has something to undo when it is interrupted: it heeds `stop` and gets a moment. Others just end. */
  readonly cleansUp?: true;
  /** Runs until it is stopped, and takes the time that it needs then. */
  readonly runsOn?: true;
  run(positional: readonly string[], flags: Flags, common: CommonOptions, world: Surroundings): Promise<void>;
}

/** Commands below one word. */
export interface CommandGroup extends Described {
  readonly commands: readonly Entry[];
  readonly details?: readonly string[];
}

export type Entry = Command | CommandGroup;

export function isGroup(entry: Entry): entry is CommandGroup {
  return 'commands' in entry;
}

/** The command line is wrong: exit code 2, and the usage is shown. */
export class UsageError extends Error {
  constructor(message: string) {
    super(message);
    this.name = 'UsageError';
  }
}

/** Something the command was asked to do did not work; the message is complete. Exit code 1. */
export class CommandError extends Error {
  constructor(message: string) {
    super(message);
    this.name = 'CommandError';
  }
}

/** The requested change has not happened within --timeout, and may happen yet. Exit code 3. */
export class NotInTime extends CommandError {}
