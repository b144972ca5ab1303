/** SYMLINK, RFC 1813 §3.3.10. The target is stored as it comes; this server never follows it. */
import { nfs3Procedures } from '../../protocol/nfs3.ts';
import { XdrReader } from '../../protocol/xdr.ts';
import type { AttributeChanges } from '../storage/files/set-attributes.ts';
import { makeSymbolicLinkAt } from '../system/file-calls.ts';
import { S_IFLNK } from '../system/statx.ts';
import { NewEntry } from './new-entry.ts';
import type { OperationRequest } from './operation.ts';
import { changesOfSattr } from './sattr.ts';

/** Bytes; PATH_MAX of Linux without its NUL. A longer one has no intent: it would not fit into a record of the journal. */
const TARGET_SIZE_MAX = 4095;

export class Symlink extends NewEntry {
  readonly operation = 'SYMLINK';
  protected readonly makingCall = 'symlinkat';
  readonly #target: Uint8Array;
  readonly #wanted: AttributeChanges;

  constructor(request: OperationRequest) {
    super(request);
    const r = new XdrReader(request.args);
    const { where, symlink } = nfs3Procedures.SYMLINK.args.decode(r);
    r.expectEnd();
    this.dirHandle = where.dir;
    this.name = where.name;
    this.#target = symlink.symlink_data;
    this.#wanted = { ...changesOfSattr(symlink.symlink_attributes), mode: null, size: null };
  }

  protected get type(): number {
    return S_IFLNK;
  }

  protected get attributes(): AttributeChanges {
    return this.#wanted;
  }

  override examine(): boolean {
    const size = this.#target.length;
    if (size > TARGET_SIZE_MAX) return this.refuse('nameTooLong');
    if (size === 0 || this.#target.includes(0)) return this.refuse('invalid');
    return super.examine();
  }

  protected make(dirFd: number): number {
    return makeSymbolicLinkAt(this.volume.gate, this.#target, dirFd, this.name);
  }
}
