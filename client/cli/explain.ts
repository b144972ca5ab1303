/** An error as the user of the command reads it: thing, cause, way out. */
import {
  NFS3ERR_ACCES,
  NFS3ERR_NOSPC,
  NFS3ERR_PERM,
  NFS3ERR_ROFS,
  NFS3ERR_STALE,
  nfsstat3Name,
} from '../../protocol/nfs3.ts';
import { CallTimeout, FilerPairError, MountError, NfsError } from '../errors.ts';
import { CommandError, UsageError } from './command.ts';
import { didYouMean } from './similar.ts';
import type { Terminal } from './terminal.ts';

/** Tells of a failure, in a line, and with the way out in a second one. A mistake of the program itself keeps its stack. */
export function tell(error: unknown, to: Terminal): void {
  const [first = '', ...rest] = explain(error);
  to.line(`filerpair: ${first}`);
  for (const line of rest) to.line(line);
}

function explain(error: unknown): string[] {
  if (error instanceof NfsError) {
    const reason = `${error.reason} (${nfsstat3Name(error.status)})`;
    return withHint(`${pathsOf(error)}${reason}`, nfsHint(error.status));
  }
  if (error instanceof MountError) {
    const refused = error.code === 'EACCES' || error.code === 'EPERM';
    return withHint(
      `${error.reason}${didYouMean(...asExports(error))}`,
      refused ? "the export's `clients` must include this machine's address" : null,
    );
  }
  if (error instanceof CallTimeout) {
    return withHint(
      error.reason,
      'check the server name and the ports; --timeout 0 waits through any outage',
    );
  }
  if (error instanceof FilerPairError) return [`${pathsOf(error)}${error.reason}`];
  if (error instanceof CommandError || error instanceof UsageError) return [error.message];
  const { code, path, message } = error as NodeJS.ErrnoException;
  if (code === 'ENOENT') return [`${path}: no such file or directory`];
  if (code === 'EACCES') return [`${path}: permission denied`];
  if (code !== undefined) return [message];
  return (error instanceof Error ? (error.stack ?? error.message) : String(error)).split('\n');
}

/** A path that is in no export is cut to as many names as the exports have, so that the mistyped part is compared. */
function asExports({ path = '', exports }: MountError): [word: string, known: readonly string[]] {
  const depth = Math.max(0, ...exports.map((each) => each.split('/').length));
  return [path.split('/').slice(0, depth).join('/'), exports];
}

/** `/home/ada/notes: `, or with both paths. */
function pathsOf({ path, dest }: FilerPairError): string {
  return path === undefined ? '' : `${path}${dest === undefined ? '' : ` -> ${dest}`}: `;
}

function nfsHint(status: number): string | null {
  switch (status) {
    case NFS3ERR_ACCES:
    case NFS3ERR_PERM:
      return 'act as another user with --uid and --gid; root may be squashed by the export';
    case NFS3ERR_ROFS:
      return "the export's `access` would have to be ReadWrite";
    case NFS3ERR_NOSPC:
      return 'remove something, or enlarge the volume';
    case NFS3ERR_STALE:
      return 'somebody else removed it meanwhile: start again';
    default:
      return null;
  }
}

function withHint(message: string, hint: string | null): string[] {
  return hint === null ? [message] : [message, `  ${hint}`];
}
