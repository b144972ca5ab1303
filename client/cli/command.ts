/** What every command of `filerpair` is given and has to say about itself. */
import type { Writable } from 'node:stream';
import type { Identity } from '../identity.ts';
import type { Terminal } from './terminal.ts';

/** The outside world of a command: only main.ts knows process. */
export interface Surroundings {
  readonly stdout: Terminal;
  readonly stderr: Terminal;
  /** Standard output as it is, for the contents of files. */
  readonly bytes: Writable;
  /** Aborted when the user or the system asks the process to stop. */
  readonly stop: AbortSignal;
  /** For what is to outlive a process, but not the machine. null: there is no such directory. */
  readonly runtimeDirectory: string | null;
}

export interface CommonOptions {
  /** Longest wait for one reply in ms; undefined waits through any outage. */
  readonly timeoutMs: number | undefined;
  readonly identity: Identity;
  /** Say on stderr when the connection moves. */
  readonly verbose: boolean;
}

export type Flags = Readonly<Record<string, string | boolean | undefined>>;

export interface Command {
  readonly name: string;
  /** Arguments after the name, as in `cp [-r] SOURCE... TARGET`. */
  readonly form: string;
  /** One line for the list of commands. */
  readonly summary: string;
  /** Lines of explanation for `filerpair help NAME`. */
  readonly details: readonly string[];
  readonly flags: Readonly<Record<string, { type: 'string' | 'boolean'; short?: string }>>;
  /** Has something to undo when it is interrupted: it heeds `stop` and gets a moment. Others just end. */
  readonly cleansUp?: true;
  /** Number of positional arguments, inclusive. */
  readonly count: readonly [min: number, max: number];
  run(positional: readonly string[], flags: Flags, common: CommonOptions, world: Surroundings): Promise<void>;
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
