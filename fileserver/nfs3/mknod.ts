/** MKNOD, RFC 1813 §3.3.11: devices, sockets and fifos, as objects to be found again; nothing here opens them. */
import { constants } from 'node:os';
import {
  NF3BLK,
  NF3CHR,
  NF3FIFO,
  NF3SOCK,
  type Nfs3Calls,
  nfs3Procedures,
  SATTR3_NOTHING,
} from '../../protocol/nfs3.ts';
import { XdrReader } from '../../protocol/xdr.ts';
import type { AttributeChanges } from '../storage/files/set-attributes.ts';
import { makeNodeAt } from '../system/file-calls.ts';
import { S_IFBLK, S_IFCHR, S_IFIFO, S_IFSOCK } from '../system/statx.ts';
import { NewEntry } from './new-entry.ts';
import type { OperationRequest } from './operation.ts';
import { changesOfSattr } from './sattr.ts';

const MODE_DEFAULT = 0o600;
/** Linux has 12 bits for a major and 20 for a minor number. */
const MAJOR_MAX = 0xfff;
const MINOR_MAX = 0xfffff;

const { EINVAL } = constants.errno;

export class Mknod extends NewEntry {
  readonly operation = 'MKNOD';
  protected readonly makingCall = 'mknodat';
  readonly #args: Nfs3Calls['MKNOD']['args'];
  readonly #given: AttributeChanges;

  constructor(request: OperationRequest) {
    super(request);
    const r = new XdrReader(request.args);
    this.#args = nfs3Procedures.MKNOD.args.decode(r);
    r.expectEnd();
    this.dirHandle = this.#args.where.dir;
    this.name = this.#args.where.name;
    const { what } = this.#args;
    if ('dev_attributes' in what) this.#given = changesOfSattr(what.dev_attributes);
    else if ('pipe_attributes' in what) this.#given = changesOfSattr(what.pipe_attributes);
    else this.#given = changesOfSattr(SATTR3_NOTHING);
  }

  protected get type(): number {
    switch (this.#args.what.type) {
      case NF3CHR:
        return S_IFCHR;
      case NF3BLK:
        return S_IFBLK;
      case NF3SOCK:
        return S_IFSOCK;
      case NF3FIFO:
        return S_IFIFO;
      default:
        return 0;
    }
  }

  protected get attributes(): AttributeChanges {
    return { ...this.#given, mode: null, size: null };
  }

  override examine(): boolean {
    // RFC 1813 §3.3.11: NFS3ERR_BADTYPE for a type that MKNOD does not make.
    return this.type === 0 ? this.refuse('badType') : super.examine();
  }

  protected make(dirFd: number): number {
    const { what } = this.#args;
    const major = 'spec' in what ? what.spec.specdata1 : 0;
    const minor = 'spec' in what ? what.spec.specdata2 : 0;
    if (major > MAJOR_MAX || minor > MINOR_MAX) return -EINVAL;
    const mode = this.type | ((this.#given.mode ?? MODE_DEFAULT) & 0o7777);
    return makeNodeAt(this.volume.gate, dirFd, this.name, mode, major, minor);
  }
}
