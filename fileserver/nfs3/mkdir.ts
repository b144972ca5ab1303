/** MKDIR, RFC 1813 §3.3.9. */
import { nfs3Procedures } from '../../protocol/nfs3.ts';
import { XdrReader } from '../../protocol/xdr.ts';
import type { AttributeChanges } from '../storage/files/set-attributes.ts';
import { makeDirectoryAt } from '../system/file-calls.ts';
import { S_IFDIR } from '../system/statx.ts';
import { NewEntry } from './new-entry.ts';
import type { OperationRequest } from './operation.ts';
import { changesOfSattr } from './sattr.ts';

const MODE_DEFAULT = 0o700;

export class Mkdir extends NewEntry {
  readonly operation = 'MKDIR';
  protected readonly makingCall = 'mkdirat';
  readonly #wanted: AttributeChanges;
  readonly #mode: number;

  constructor(request: OperationRequest) {
    super(request);
    const r = new XdrReader(request.args);
    const { where, attributes } = nfs3Procedures.MKDIR.args.decode(r);
    r.expectEnd();
    this.dirHandle = where.dir;
    this.name = where.name;
    const given = changesOfSattr(attributes);
    this.#mode = (given.mode ?? MODE_DEFAULT) & 0o7777;
    // A directory has no size to set.
    this.#wanted = { ...given, mode: null, size: null };
  }

  protected get type(): number {
    return S_IFDIR;
  }

  protected get attributes(): AttributeChanges {
    return this.#wanted;
  }

  protected make(dirFd: number): number {
    return makeDirectoryAt(this.volume.gate, dirFd, this.name, this.#mode);
  }
}
