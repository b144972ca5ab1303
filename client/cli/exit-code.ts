/** The exit codes of `filerpair`, and which one an error has. */
import { CallTimeout } from '../errors.ts';
import { NotInTime, UsageError } from './command.ts';

export const ExitCode = {
  Done: 0,
  /** Not done, or not all of it; refused. */
  Failed: 1,
  /** The command line is wrong; nothing was tried. */
  Usage: 2,
  /** Nothing has answered within --timeout, or what was asked for has not ended: it may be done yet. */
  NotInTime: 3,
  /** 128 and SIGINT's number, as shells have it. */
  Interrupted: 130,
} as const;
export type ExitCode = (typeof ExitCode)[keyof typeof ExitCode];

export function exitCodeOf(error: unknown): ExitCode {
  if (error instanceof UsageError) return ExitCode.Usage;
  if (error instanceof CallTimeout || error instanceof NotInTime) return ExitCode.NotInTime;
  return ExitCode.Failed;
}
