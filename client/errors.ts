// What can go wrong for a caller of the library. Everything that failover can heal does not appear here: such
// calls just take longer.
import { mountstat3Name } from '../protocol/mount.ts';
import {
  NFS3ERR_ACCES,
  NFS3ERR_EXIST,
  NFS3ERR_IO,
  NFS3ERR_ISDIR,
  NFS3ERR_NAMETOOLONG,
  NFS3ERR_NOENT,
  NFS3ERR_NOSPC,
  NFS3ERR_NOTDIR,
  NFS3ERR_NOTEMPTY,
  NFS3ERR_PERM,
  NFS3ERR_ROFS,
  NFS3ERR_STALE,
  nfsstat3Name,
} from '../protocol/nfs3.ts';

const SENTENCES = new Map<number, string>([
  [NFS3ERR_PERM, 'not permitted for this user'],
  [NFS3ERR_NOENT, 'no such file or directory'],
  [NFS3ERR_IO, 'the server could not read or write its disk'],
  [NFS3ERR_ACCES, 'permission denied for this user'],
  [NFS3ERR_EXIST, 'exists already'],
  [NFS3ERR_NOTDIR, 'not a directory'],
  [NFS3ERR_ISDIR, 'is a directory'],
  [NFS3ERR_NOSPC, 'no space left on the volume'],
  [NFS3ERR_ROFS, 'the export is read-only'],
  [NFS3ERR_NAMETOOLONG, 'the name is too long'],
  [NFS3ERR_NOTEMPTY, 'the directory is not empty'],
  [NFS3ERR_STALE, 'the file is gone: its handle is stale'],
]);

/** An NFS procedure answered with a status other than NFS3_OK. */
export class NfsError extends Error {
  /** RFC 1813 §2.6, nfsstat3. */
  readonly status: number;
  readonly procedure: string;

  constructor(status: number, procedure: string, what?: string) {
    const name = nfsstat3Name(status);
    const sentence = SENTENCES.get(status);
    const cause = sentence === undefined ? name : `${sentence} (${name})`;
    super(what === undefined ? `${procedure}: ${cause}` : `${what}: ${cause}`);
    this.name = 'NfsError';
    this.status = status;
    this.procedure = procedure;
  }
}

/** MOUNT refused the path. */
export class MountError extends Error {
  /** RFC 1813 appendix I §5.1.5, mountstat3. */
  readonly status: number;

  constructor(status: number, path: string) {
    super(`the server does not let us mount ${path} (${mountstat3Name(status)})`);
    this.name = 'MountError';
    this.status = status;
  }
}

/** The server answered the call, but not with a result: RFC 5531 §9. */
export class RpcError extends Error {
  constructor(message: string) {
    super(message);
    this.name = 'RpcError';
  }
}

/** No reply within the time that the caller allows. The call may have been executed, or may yet be. */
export class CallTimeout extends Error {
  constructor(procedure: string, timeoutMs: number, why: string) {
    super(`${procedure} was not answered within ${timeoutMs / 1000} s: ${why}`);
    this.name = 'CallTimeout';
  }
}

/** close() was called while the call was outstanding. The call may have been executed. */
export class ClientClosed extends Error {
  constructor(procedure: string) {
    super(`the client was closed before ${procedure} was answered`);
    this.name = 'ClientClosed';
  }
}
