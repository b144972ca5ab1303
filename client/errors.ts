/**
 * Errors for a caller of the library, in the shape of Node's system errors: `code`, `errno`, `syscall`, `path`,
 * `cause`. Everything that failover can heal does not appear here: such calls just take longer.
 */
import { constants } from 'node:os';
import { getSystemErrorMap } from 'node:util';
import { mountstat3Name } from '../protocol/mount.ts';
import { nfsstat3, nfsstat3Name } from '../protocol/nfs3.ts';

/** The call that was under way. */
export interface ErrorContext {
  /** The operation as Node names it: `open`, `stat`, `scandir`; by file handle, the procedure: `lookup`. */
  readonly syscall?: string | undefined;
  /** On the server, the export's own path included. */
  readonly path?: string | undefined;
  /** The second path of rename, link, symlink and copyFile. */
  readonly dest?: string | undefined;
  readonly cause?: unknown;
}

/**
 * Base of all errors of this library, with the properties of a system error of Node.
 *
 * @see https://nodejs.org/docs/latest-v24.x/api/errors.html#class-systemerror
 */
export class FilerPairError extends Error {
  /** `ENOENT`, `ESTALE`, `ETIMEDOUT`, ...: what a program decides by. */
  readonly code: string;
  /** This system's number for the code, negative as in Node; undefined where the system has none. */
  readonly errno: number | undefined;
  readonly syscall: string | undefined;
  readonly path: string | undefined;
  readonly dest: string | undefined;
  /** The message without code, operation and path. */
  readonly reason: string;

  constructor(code: string, reason: string, { syscall, path, dest, cause }: ErrorContext = {}) {
    super(`${code}: ${reason}${whereText(syscall, path, dest)}`, cause === undefined ? undefined : { cause });
    this.name = 'FilerPairError';
    this.code = code;
    this.errno = errnoOf(code);
    this.syscall = syscall;
    this.path = path;
    this.dest = dest;
    this.reason = reason;
  }
}

function whereText(syscall: string | undefined, path: string | undefined, dest: string | undefined): string {
  const parts = [syscall, path && `'${path}'`, dest && `-> '${dest}'`].filter((each) => each);
  return parts.length === 0 ? '' : `, ${parts.join(' ')}`;
}

function errnoOf(code: string): number | undefined {
  const number = (constants.errno as Record<string, number | undefined>)[code];
  return number === undefined ? undefined : -number;
}

/** Where the system's own sentence would leave the reader alone. */
const REASONS = new Map<string, string>([
  ['EPERM', 'not permitted for this user'],
  ['EIO', 'the server could not read or write its disk'],
  ['EACCES', 'permission denied for this user'],
  ['EEXIST', 'exists already'],
  ['ENOTDIR', 'not a directory'],
  ['EISDIR', 'is a directory'],
  ['ENOSPC', 'no space left on the volume'],
  ['EROFS', 'the export is read-only'],
  ['ENAMETOOLONG', 'the name is too long'],
  ['ENOTEMPTY', 'the directory is not empty'],
  ['ESTALE', 'the file is gone: its handle is stale'],
  ['ELOOP', 'too many symbolic links in a row'],
]);

/** The sentence for a code. */
export function reasonOf(code: string): string {
  const errno = errnoOf(code);
  const system = errno === undefined ? undefined : getSystemErrorMap().get(errno)?.[1];
  return REASONS.get(code) ?? system ?? code;
}

/** Statuses whose names are not those of a code; RFC 1813 §2.6. Linux maps them to numbers that no program sees. */
const CODES = new Map<number, string>([
  [nfsstat3.NFS3ERR_BADHANDLE, 'ESTALE'],
  [nfsstat3.NFS3ERR_NOT_SYNC, 'EAGAIN'],
  [nfsstat3.NFS3ERR_BAD_COOKIE, 'EINVAL'],
  [nfsstat3.NFS3ERR_NOTSUPP, 'ENOTSUP'],
  [nfsstat3.NFS3ERR_TOOSMALL, 'EINVAL'],
  [nfsstat3.NFS3ERR_SERVERFAULT, 'EIO'],
  [nfsstat3.NFS3ERR_BADTYPE, 'EINVAL'],
  [nfsstat3.NFS3ERR_JUKEBOX, 'EAGAIN'],
]);

/** `ENOENT` for NFS3ERR_NOENT; `EIO` for a number that RFC 1813 does not list. */
function codeOf(status: number): string {
  const name = /^NFS3ERR_([A-Z]+)$/.exec(nfsstat3Name(status))?.[1];
  return CODES.get(status) ?? (name === undefined ? 'EIO' : `E${name}`);
}

/** An NFS procedure answered with a status other than NFS3_OK. */
export class NfsError extends FilerPairError {
  /** RFC 1813 §2.6, nfsstat3. */
  readonly status: number;
  /** `LOOKUP`, `WRITE`, ... */
  readonly procedure: string;

  constructor(status: number, procedure: string, { syscall, path, dest }: ErrorContext = {}) {
    const code = codeOf(status);
    super(code, reasonOf(code), { syscall: syscall ?? procedure.toLowerCase(), path, dest });
    this.name = 'NfsError';
    this.status = status;
    this.procedure = procedure;
  }
}

/** The path cannot be mounted: refused, or not exported. */
export class MountError extends FilerPairError {
  /** RFC 1813 appendix I §5.1.5, mountstat3. */
  readonly status: number;
  /** Paths that the server exports, where it was asked and the path is in none of them. */
  readonly exports: readonly string[];

  constructor(status: number, path: string, reason?: string, exports: readonly string[] = []) {
    // Its numbers are those of nfsstat3.
    const sentence = reason ?? `the server does not let us mount ${path} (${mountstat3Name(status)})`;
    super(codeOf(status), sentence, { syscall: 'mount', path });
    this.name = 'MountError';
    this.status = status;
    this.exports = exports;
  }
}

/** The server answered the call, but not with a result (RFC 5531 §9), or with one that makes no sense. */
export class RpcError extends FilerPairError {
  constructor(code: 'EPROTO' | 'EACCES' | 'ECONNRESET', reason: string, context: ErrorContext = {}) {
    super(code, reason, context);
    this.name = 'RpcError';
  }
}

/** No reply within the time that the caller allows. The call may have been executed, or may yet be. */
export class CallTimeout extends FilerPairError {
  /** `why`: what the connection was waiting for. */
  constructor(procedure: string, timeoutMs: number, why: string, context: ErrorContext = {}) {
    super('ETIMEDOUT', `${procedure} was not answered within ${timeoutMs / 1000} s: ${why}`, context);
    this.name = 'CallTimeout';
  }
}

/** The caller's AbortSignal has ended the wait; `cause` is its reason. What was sent may have been executed. */
export class AbortError extends FilerPairError {
  constructor(context: ErrorContext) {
    super('ABORT_ERR', 'The operation was aborted', context);
    this.name = 'AbortError';
  }
}

/** close() was called before, or destroy() meanwhile: what was sent may have been executed. */
export class ClientClosed extends FilerPairError {
  constructor(context: ErrorContext = {}) {
    super('ECANCELED', 'the client is closed', context);
    this.name = 'ClientClosed';
  }
}

/** True of an error with one of these codes, wherever it comes from. */
export function hasCode(error: unknown, ...codes: readonly string[]): boolean {
  return codes.includes((error as { readonly code?: string } | null)?.code ?? '');
}

/** A mistake in a call of the library, with a code as Node's own have it. */
export class TypeErrorWithCode extends TypeError {
  readonly code: 'ERR_INVALID_ARG_TYPE' | 'ERR_INVALID_ARG_VALUE' | 'ERR_INVALID_URL';

  constructor(code: TypeErrorWithCode['code'], message: string) {
    super(message);
    this.code = code;
  }
}
